# syntax=docker/dockerfile:1
# The image: one static binary and nothing else, for amd64 and arm64. Each is built
# on a machine of its kind, or emulated: docker buildx build --platform linux/arm64 .
#
#   docker build -t osm-cni:0.1.0 .
#
# BUILD is the image that compiles the program: Rust on Debian. For a reproducible
# build, name it by digest; the lock file, the single code generation unit and the
# remapped paths do the rest.
ARG BUILD=rust:1.95-bookworm

FROM ${BUILD} AS build
# libclang generates the bindings to the kernel's headers.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libclang-dev linux-libc-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
COPY src src
COPY scripts/build.sh scripts/
# cargo needs the manifests of the workspace's members, and does not build them.
COPY benches benches
COPY demo demo
# The manifest names the tests, which are not built here.
RUN mkdir tests && touch tests/main.rs
RUN scripts/build.sh && install -m 0755 target/release/osm-cni /osm-cni

FROM scratch
COPY --from=build /osm-cni /osm-cni
# The DaemonSet sets root itself; everything else needs no privileges.
USER 65532:65532
ENTRYPOINT ["/osm-cni"]
CMD ["--help"]
