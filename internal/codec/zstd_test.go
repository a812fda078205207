package codec

import (
	"bytes"
	"testing"
	"testing/synctest"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
)

// TestCompressorOfBubbles uses a compressor in a test's bubble of time first, and then outside.
func TestCompressorOfBubbles(t *testing.T) {
	compressor := NewCompressor(zstd.SpeedDefault)
	compress := func(*testing.T) { compressor.EncodeAll([]byte("of a store"), nil) }
	synctest.Test(t, compress)
	compress(t)
}

func TestDecompress(t *testing.T) {
	compressor := NewCompressor(zstd.SpeedFastest)
	for _, n := range []int{1, 1000, 1024, 1025, maxPooled + 1} {
		content := bytes.Repeat([]byte("content "), n/8+1)[:n]
		frame := compressor.EncodeAll(content, nil)
		for range 2 { // the second time into what the first one gave back
			out, err := Decompress(frame, n)
			require.NoError(t, err)
			require.True(t, bytes.Equal(content, out))
			GiveBuffer(out)
		}
		for _, length := range []int{0, n - 1, n + 1} {
			_, err := Decompress(frame, length)
			require.ErrorContains(t, err, "frame of", "%d instead of %d", length, n)
		}
		_, err := Decompress(frame[:len(frame)-1], n)
		require.Error(t, err)
	}
}
