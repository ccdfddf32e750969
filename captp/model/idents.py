"""Distinct types for the integers and byte strings that name things; they know only their own range."""

from __future__ import annotations

from typing import NewType

ExportPos = NewType("ExportPos", int)
ImportPos = NewType("ImportPos", int)
QuestionPos = NewType("QuestionPos", int)
AnswerPos = NewType("AnswerPos", int)
ConnId = NewType("ConnId", int)
Oid = NewType("Oid", int)
SwissNum = NewType("SwissNum", bytes)
