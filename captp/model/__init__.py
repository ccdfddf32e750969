"""What user code holds and passes: references, promises, interfaces, objects, values, names, keys."""
