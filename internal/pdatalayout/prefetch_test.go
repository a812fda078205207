package pdatalayout

import (
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// TestPrefetch: what the assembly takes for granted, and that nothing is asked of what it is given.
func TestPrefetch(t *testing.T) {
	var a Attribute
	require.EqualValues(t, 40, unsafe.Sizeof(a))
	require.EqualValues(t, 0, unsafe.Offsetof(a.Key))
	require.EqualValues(t, 24, unsafe.Offsetof(a.Value)+unsafe.Offsetof(Box{}.At))
	for n := range 70 {
		list := make([]Attribute, n) // keys and boxes that point nowhere
		if n > 3 {
			list[3].Key, list[2].Value.Value = "key", &Text{StringValue: "text"}
		}
		PrefetchText(strings.Repeat("text", n*n))
		PrefetchList(list)
		PrefetchValues(list)
	}
}
