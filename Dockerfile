# A vat daemon that runs as nobody in particular and keeps its keys in one volume.
FROM python:3.11-slim

WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY captp captp
COPY captpd captpd
# hadolint ignore=DL3013
RUN pip install --no-cache-dir '.[daemon]' && \
    useradd --system --uid 10001 --create-home --home-dir /var/lib/captpd --shell /usr/sbin/nologin captpd && \
    chmod 700 /var/lib/captpd

USER 10001
WORKDIR /var/lib/captpd
ENV CAPTPD_HOME=/var/lib/captpd
VOLUME /var/lib/captpd
EXPOSE 7711

HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD ["captpd", "status"]
ENTRYPOINT ["captpd"]
CMD ["run"]
