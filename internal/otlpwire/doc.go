// Package otlpwire looks into OTLP traces without decoding them: it finds the spans in the bytes of an ExportTraceServiceRequest and
// reads the little that deciding about them needs. When they are handed on, a Decoder makes pdata of their bytes (docs/adr/017-decoding-into-slabs.md); of whole
// requests a TracesDecoder does.
//
// It answers for what it lets pass: bytes that it calls regular decode, with pdata, to what it says of them. It therefore knows
// every field of the messages, and calls irregular whatever senders do not write in practice although protobuf allows it: fields
// that it does not know, fields that stand twice, groups, values with two contents. Who meets that decodes it, and encodes it again:
// what pdata encodes is regular. Irregular are broken bytes too.
//
// Nothing here recurses: values are nested as deep as a sender likes.
package otlpwire
