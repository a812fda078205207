package boundedzstd

import (
	"bytes"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	_ "go.opentelemetry.io/collector/config/configgrpc" // registers one, too
	"google.golang.org/grpc/encoding"
)

// packed is a frame of two blocks, which therefore declares a window.
func packed(t testing.TB, text string, window int) []byte {
	t.Helper()
	var frame bytes.Buffer
	encoder, err := zstd.NewWriter(&frame, zstd.WithWindowSize(window))
	require.NoError(t, err)
	for _, part := range []string{text[:1], text[1:]} {
		_, err = encoder.Write([]byte(part))
		require.NoError(t, err)
		require.NoError(t, encoder.Flush())
	}
	require.NoError(t, encoder.Close())
	return frame.Bytes()
}

func TestDecode(t *testing.T) {
	text := strings.Repeat("spans ", 1000)
	unpackers := map[string]func([]byte) (io.Reader, error){
		"HTTP": func(frame []byte) (io.Reader, error) { return Decode(io.NopCloser(bytes.NewReader(frame))) },
		"gRPC": func(frame []byte) (io.Reader, error) {
			return encoding.GetCompressor("zstd").Decompress(bytes.NewReader(frame))
		},
	}
	for name, unpack := range unpackers {
		for test, c := range map[string]struct {
			frame []byte
			ok    bool
		}{
			"8 MiB":      {packed(t, text, 8<<20), true},
			"16 MiB":     {packed(t, text, 16<<20), false},
			"512 MiB":    {packed(t, text, 512<<20), false},
			"not zstd":   {[]byte(text), false},
			"cut off":    {packed(t, text, 1<<20)[:20], false},
			"a few more": {packed(t, text, 1<<20), true}, // the pool's state after all these
		} {
			t.Run(name+" "+test, func(t *testing.T) {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				reader, err := unpack(c.frame)
				require.NoError(t, err)
				got, err := io.ReadAll(reader)
				runtime.ReadMemStats(&after)
				require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(20<<20))
				if c.ok {
					require.NoError(t, err)
					require.Equal(t, text, string(got))
				} else {
					require.Error(t, err)
				}
			})
		}
	}
}

func TestCompressor(t *testing.T) {
	c := encoding.GetCompressor("zstd")
	require.IsType(t, &compressor{}, c, "the collector's does not take its place")
	for range 3 {
		var frame bytes.Buffer
		w, err := c.Compress(&frame)
		require.NoError(t, err)
		text := strings.Repeat("span ", 100_000)
		_, err = w.Write([]byte(text))
		require.NoError(t, err)
		require.NoError(t, w.Close())
		require.Less(t, frame.Len(), len(text)/10)
		r, err := c.Decompress(&frame)
		require.NoError(t, err)
		got, err := io.ReadAll(r)
		require.NoError(t, err)
		require.Equal(t, text, string(got))
		_, err = r.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(packed(f, "spans", 1<<20))
	f.Add([]byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 19 << 3, 0x08, 0, 0, 0x0a})
	f.Fuzz(func(t *testing.T, frame []byte) {
		reader, err := Decode(io.NopCloser(bytes.NewReader(frame)))
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, io.LimitReader(reader, 1<<20)) // it ends, and does not panic
		_ = err
		require.NoError(t, reader.Close())
	})
}
