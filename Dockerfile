# syntax=docker/dockerfile:1
# The image: one static binary and nothing else, for amd64 and arm64 (each built
# on its own kind, or emulated: docker buildx build --platform linux/arm64 .)
#
#   docker build -t osm-cni:0.1.0 .
#
# BUILD is the image that it is compiled in: Rust on Debian. Name yours by digest
# for a build that comes out the same tomorrow; the lock file, the one code
# generation unit and the remapped paths do the rest.
ARG BUILD=rust:1.95-bookworm

FROM ${BUILD} AS build
# Bindings to the kernel's headers are made through libclang.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libclang-dev linux-libc-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
COPY src src
COPY scripts/build.sh scripts/
# Members of the workspace: cargo wants to see them, and builds neither here.
COPY benches benches
COPY demo demo
# The manifest names the tests; they are not built here.
RUN mkdir tests && touch tests/main.rs
RUN scripts/build.sh && install -m 0755 target/release/osm-cni /osm-cni

FROM scratch
COPY --from=build /osm-cni /osm-cni
# The DaemonSet runs as root by its own word; everything else needs no user at all.
USER 65532:65532
ENTRYPOINT ["/osm-cni"]
CMD ["--help"]
