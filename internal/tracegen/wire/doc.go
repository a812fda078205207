// Package wire encodes spans as OTLP protobuf and remembers where their ids and times stand, so that an encoded request
// can be sent again as other traces at another time without encoding it again.
//
// Ids change by XOR with a mask. The same mask for all requests of a run keeps every reference whole (parents and links
// between requests), without knowing which span is where.
package wire
