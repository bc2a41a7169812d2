# SPDX-License-Identifier: Apache-2.0
#
# docker buildx build --platform linux/amd64,linux/arm64 -t REGISTRY/metalsuite:TAG --push .
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
ARG TARGETOS=linux
ARG TARGETARCH
ARG VERSION=v0.1.0
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -tags=grpcnotrace -ldflags="-s -w -X metalsuite.io/cmd/version.Version=$VERSION" -o /out/metalsuite .

FROM scratch
COPY --from=build /out/metalsuite /metalsuite
# The manifests give each role its user: the speaker needs root with the capability NET_RAW alone, everything else runs as this one.
USER 65534:65534
ENTRYPOINT ["/metalsuite"]
