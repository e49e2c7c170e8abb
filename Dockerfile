# The binary, its licences, the certificates that it trusts, the folder that it writes:
# nothing else. No shell, no root, and nothing is written outside the store, so that
# the container can run with a read-only root.
#
#   docker build --build-arg VERSION=1.0.0 --build-arg COMMIT=$(git rev-parse HEAD) \
#     --build-arg COMMITTED=$(git show -s --format=%cI) -t matrix-connector .
#
# For several architectures: docker buildx build --platform linux/amd64,linux/arm64 …

# The compiler runs on the machine's own architecture and compiles for the image's.
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETOS=linux
ARG TARGETARCH=amd64
# .git is not sent along, so that the version has to be told.
ARG VERSION=
ARG COMMIT=
ARG COMMITTED=
RUN CGO_ENABLED=0 GOOS="$TARGETOS" GOARCH="$TARGETARCH" go build -trimpath -tags=goolm -buildvcs=false \
    -ldflags "-s -w -buildid= -X 'github.com/matrix-connector/matrix-connector/internal/cli.Stamp=$VERSION $COMMIT $COMMITTED'" \
    -o /out/usr/local/bin/matrix-connector ./cmd/matrix-connector \
 && install -D -m 0644 -t /out/etc/ssl/certs /etc/ssl/certs/ca-certificates.crt \
 && install -D -m 0644 -t /out/usr/share/doc/matrix-connector LICENSE NOTICE \
 && go run -tags=goolm ./scripts/release -licences /out/usr/local/bin/matrix-connector >/tmp/licences \
 && install -m 0644 /tmp/licences /out/usr/share/doc/matrix-connector/THIRD-PARTY-LICENCES.txt \
 && install -d -m 0700 /written/opt/opencti-connector-matrix/store

FROM scratch
ARG VERSION=
ARG COMMIT=
ARG COMMITTED=
LABEL org.opencontainers.image.title="matrix-connector" \
      org.opencontainers.image.description="Imports Matrix conversations into OpenCTI" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$COMMIT" \
      org.opencontainers.image.created="$COMMITTED"
COPY --from=build /out/ /
# Nobody in particular, and not root. A new volume takes the owner of this folder. One
# that the Python connector made belongs to root: the start says how to hand it over.
COPY --from=build --chown=65532:65532 /written/ /
USER 65532:65532
WORKDIR /opt/opencti-connector-matrix
VOLUME /opt/opencti-connector-matrix/store
EXPOSE 9095
# Asks over a socket in the store: no port, no shell, no curl.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
  CMD ["/usr/local/bin/matrix-connector", "health"]
ENTRYPOINT ["/usr/local/bin/matrix-connector"]
