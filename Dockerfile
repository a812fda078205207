# The product, the agent and tracewrightctl, without a shell. Everything listens on localhost until TRACEWRIGHT_HOST says otherwise:
#
#   docker build -t tracewright .
#   docker run --rm -e TRACEWRIGHT_HOST=0.0.0.0 -p 4317:4317 -p 4318:4318 -p 16686:16686 -v tracewright:/data tracewright

FROM golang:1.26 AS build
WORKDIR /src
COPY . .
RUN make build build-agent && mkdir /data

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /src/bin/tracewright /src/bin/tracewright-agent /src/bin/tracewrightctl /usr/local/bin/
COPY config/ /etc/tracewright/
# A volume that is made from here belongs to the user below.
COPY --from=build --chown=65532:65532 /data /data
ENV TRACEWRIGHT_DATA=/data
USER 65532:65532
VOLUME /data
ENTRYPOINT ["/usr/local/bin/tracewright"]
CMD ["--config", "/etc/tracewright/tracewright.yaml"]
