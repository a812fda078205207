package codec

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRoundTrip(t *testing.T) {
	buf := []byte{7}
	buf = AppendString(buf, "shop")
	buf = binary.BigEndian.AppendUint32(buf, 1<<31)
	buf = binary.BigEndian.AppendUint64(buf, 1<<63)
	buf = binary.AppendUvarint(buf, 300)
	buf = AppendString(buf, []byte{})
	buf = binary.AppendVarint(buf, -5)
	buf = AppendString(buf, "kasse")
	buf = AppendString(AppendString(append(buf, 2), "eins"), "zwei")
	buf = append(buf, 0) // no strings
	buf = append(buf, 2, 'x', 'y')
	r := NewReader(buf)
	require.EqualValues(t, 7, r.Byte())
	require.Equal(t, "shop", r.String())
	require.EqualValues(t, 1<<31, r.Fixed32())
	require.EqualValues(t, uint64(1)<<63, r.Fixed64())
	require.EqualValues(t, 300, r.Uvarint())
	require.Empty(t, r.String())
	require.EqualValues(t, -5, r.Varint())
	require.Equal(t, "kasse", r.String())
	require.Equal(t, []string{"eins", "zwei"}, r.Strings())
	require.Nil(t, r.Strings())
	require.Equal(t, 2, r.Count(1))
	require.False(t, r.Done())
	require.Equal(t, []byte("xy"), r.Bytes(2))
	require.True(t, r.Done())
	require.Zero(t, r.Byte())
	require.True(t, r.Failed())
	require.False(t, r.Done())
}

// TestNothingIsThere reads every kind from what is too short for it, or says what cannot be.
func TestNothingIsThere(t *testing.T) {
	for name, c := range map[string]struct {
		buf  []byte
		read func(*Reader)
	}{
		"byte":             {nil, func(r *Reader) { r.Byte() }},
		"bytes":            {[]byte{1, 2}, func(r *Reader) { r.Bytes(3) }},
		"negative":         {[]byte{1, 2}, func(r *Reader) { r.Bytes(-1) }},
		"32 bits":          {[]byte{1, 2, 3}, func(r *Reader) { r.Fixed32() }},
		"64 bits":          {[]byte{1, 2, 3, 4, 5, 6, 7}, func(r *Reader) { r.Fixed64() }},
		"number":           {[]byte{0x80}, func(r *Reader) { r.Uvarint() }},
		"signed":           {[]byte{0x80}, func(r *Reader) { r.Varint() }},
		"string":           {[]byte{3, 'a', 'b'}, func(r *Reader) { _ = r.String() }},
		"length of it":     {[]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}, func(r *Reader) { _ = r.String() }},
		"too many things":  {[]byte{3, 1, 2, 3, 4, 5}, func(r *Reader) { r.Count(2) }},
		"strings":          {[]byte{2, 1, 'a'}, func(r *Reader) { r.Strings() }},
		"beyond the table": {[]byte{3}, func(r *Reader) { r.Below(3) }},
		"no sense":         {[]byte{3}, func(r *Reader) { r.Fail() }},
	} {
		t.Run(name, func(t *testing.T) {
			r := NewReader(c.buf)
			c.read(r)
			require.True(t, r.Failed())
			require.False(t, r.Done())
			require.Zero(t, r.Uvarint(), "nothing is read after a failure")
		})
	}
}
