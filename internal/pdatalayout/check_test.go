package pdatalayout

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestKnown fails with a version of pdata that is laid out otherwise. The product works with it, and spends more.
func TestKnown(t *testing.T) { require.True(t, Known) }

func TestSameLayout(t *testing.T) {
	type one struct {
		A string
		B []*int32
		C any
	}
	for name, other := range map[string]reflect.Type{
		"another name": reflect.TypeFor[struct {
			X string
			B []*int32
			C any
		}](),
		"another order": reflect.TypeFor[struct {
			B []*int32
			A string
			C any
		}](),
		"another element": reflect.TypeFor[struct {
			A string
			B []*float32
			C any
		}](),
		"one more": reflect.TypeFor[struct {
			A string
			B []*int32
			C any
			D struct{}
		}](),
		"an interface with methods": reflect.TypeFor[struct {
			A string
			B []*int32
			C error
		}](),
		"no struct": reflect.TypeFor[[56]byte](),
	} {
		require.False(t, sameLayout(reflect.TypeFor[one](), other), name)
	}
	require.True(t, sameLayout(reflect.TypeFor[one](), reflect.TypeFor[struct {
		A string
		B []*int32
		C any
	}]()))
}
