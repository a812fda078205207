// Package boundedzstd unpacks zstd with a bound on the window. Go's decoder allocates what a frame declares before it reads anything of it, and
// takes 512 MiB unless it is told otherwise, which the collector does not: ten bytes of a request would do.
//
// Whoever imports it changes what servers and clients of gRPC in the process do with zstd, see grpc.go.
package boundedzstd

import (
	"io"

	"github.com/klauspost/compress/zstd"
)

// maxWindow is what RFC 8878 wants decoders to take at least.
const maxWindow = 8 << 20

func newDecoder(packed io.Reader) (*zstd.Decoder, error) {
	// With one it has no goroutines, so that one that nobody closes is garbage.
	return zstd.NewReader(packed, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
}

// Decode unpacks the body of a request; it is a decoder for confighttp.WithDecoder.
func Decode(packed io.ReadCloser) (io.ReadCloser, error) {
	decoder, err := newDecoder(packed)
	if err != nil {
		return nil, err
	}
	return &body{decoder, packed}, nil
}

// body is a body while it is unpacked.
type body struct {
	*zstd.Decoder
	packed io.ReadCloser
}

// Close implements io.Closer, which the decoder's own does not.
func (b *body) Close() error {
	b.Decoder.Close()
	return b.packed.Close()
}
