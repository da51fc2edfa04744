# The `souk` program in an image of its own: built from this checkout, run as an ordinary user.
#
#   docker build -t souk .
#   docker run -e DATABASE_URL=… -e KAFKA_BROKERS=… -p 8080:8080 souk          (serve; `souk --help` lists the rest)

FROM rust:1.95-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends cmake && rm -rf /var/lib/apt/lists/*
WORKDIR /souk
COPY . .
# The caches live with the builder, not in the image: a second build compiles what has changed.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/souk/target \
    cargo build --release --locked -p api && cp target/release/souk /usr/local/bin/souk

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/* \
    && useradd --system --create-home --home-dir /var/lib/souk souk
COPY --from=build /usr/local/bin/souk /usr/local/bin/souk
USER souk
WORKDIR /var/lib/souk
# PORT alone means all addresses of the container; hosting services set another. Secrets that demo mode makes for
# itself are kept in the state folder.
ENV PORT=8080 SOUK_STATE_DIR=/var/lib/souk/secrets
EXPOSE 8080
ENTRYPOINT ["souk"]
CMD ["serve"]
