package api

import (
	"io"

	"github.com/klauspost/compress/zstd"
)

// maxZstdWindow is what RFC 8878 wants decoders to take at least. confighttp's own takes 512 MiB, which a request of 16 bytes can ask for.
const maxZstdWindow = 8 << 20

// DecodeZstd unpacks the body of a request, for confighttp.
func DecodeZstd(body io.ReadCloser) (io.ReadCloser, error) {
	decoder, err := zstd.NewReader(body, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxZstdWindow))
	if err != nil {
		return nil, err
	}
	return &zstdBody{decoder, body}, nil
}

// zstdBody is a body while it is unpacked.
type zstdBody struct {
	*zstd.Decoder
	packed io.ReadCloser
}

// Close implements io.Closer, which the decoder's own does not.
func (b *zstdBody) Close() error {
	b.Decoder.Close()
	return b.packed.Close()
}
