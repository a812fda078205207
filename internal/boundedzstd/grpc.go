package boundedzstd

import (
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/grpc/encoding"
)

// gRPC knows one compressor of a name in the whole process, and any server takes what any client has chosen. The collector's own is registered
// only where there is none, and else is replaced.
func init() { encoding.RegisterCompressor(&compressor{}) }

// compressor implements encoding.Compressor.
type compressor struct {
	encoders, decoders sync.Pool
}

var _ encoding.Compressor = (*compressor)(nil)

func (*compressor) Name() string { return "zstd" }

// encoderWindow is as large as requests usually are, as in the collector's own.
const encoderWindow = 512 << 10

func (c *compressor) Compress(w io.Writer) (io.WriteCloser, error) {
	if encoder, ok := c.encoders.Get().(*zstd.Encoder); ok {
		encoder.Reset(w)
		return &packing{encoder, &c.encoders}, nil
	}
	encoder, err := zstd.NewWriter(w, zstd.WithWindowSize(encoderWindow), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	return &packing{encoder, &c.encoders}, nil
}

// packing is a message while it is packed. gRPC closes each once.
type packing struct {
	*zstd.Encoder
	pool *sync.Pool
}

func (p *packing) Close() error {
	err := p.Encoder.Close()
	p.pool.Put(p.Encoder)
	return err
}

func (c *compressor) Decompress(r io.Reader) (io.Reader, error) {
	decoder, ok := c.decoders.Get().(*zstd.Decoder)
	if !ok {
		var err error
		if decoder, err = newDecoder(r); err != nil {
			return nil, err
		}
	} else if err := decoder.Reset(r); err != nil {
		return nil, err
	}
	return &unpacking{decoder, &c.decoders}, nil
}

// unpacking is a message while it is unpacked, by one goroutine.
type unpacking struct {
	decoder *zstd.Decoder // nil at the end
	pool    *sync.Pool
}

func (u *unpacking) Read(p []byte) (int, error) {
	if u.decoder == nil {
		return 0, io.EOF
	}
	n, err := u.decoder.Read(p)
	if err == io.EOF { //nolint:errorlint // readers return it as it is
		u.pool.Put(u.decoder)
		u.decoder = nil
	}
	return n, err
}
