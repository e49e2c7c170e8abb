# One static binary, its licences, the certificates that it trusts, and the folders
# that it writes.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -tags=goolm -o /out/usr/local/bin/matrix-connector ./cmd/matrix-connector \
 && mkdir -p /out/etc/ssl/certs && cp /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/ \
 && install -D -m 0644 -t /out/usr/share/doc/matrix-connector LICENSE NOTICE \
 && install -d -m 0700 /written/opt/opencti-connector-matrix/store /written/tmp

FROM scratch
COPY --from=build /out/ /
# Nobody in particular, and not root. A volume that the Python connector made
# belongs to root: the first start says how to hand it over.
COPY --from=build --chown=65532:65532 /written/ /
USER 65532:65532
WORKDIR /opt/opencti-connector-matrix
VOLUME /opt/opencti-connector-matrix/store
ENTRYPOINT ["/usr/local/bin/matrix-connector"]
