package block

import (
	"strconv"

	"github.com/cespare/xxhash/v2"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// The filter of a block is a Bloom filter of tokens: hashes of what a span may be searched by. An attribute's token is that of its key
// and its value as text.

// Keys of tokens that are no attributes: no key of an attribute hashes to them but by chance.
const (
	tokenService   = 0x5e5e5e5e12345678
	tokenOperation = 0x7a7a7a7a87654321
	tokenKey       = 0x3c3c3c3c13572468 // of the attributes that there are
	// tokenOthers is the value of a key of which the filter has not all values.
	tokenOthers = 0x6d6d6d6d24681357
	// Of what stands on one span together, from version 2 on; the services of which one failed, and pairs of a service and an operation have
	// keys of their own.
	tokenPair   = 0x1f1f1f1f36925814
	tokenFailed = 0x2b2b2b2b41852963
)

const (
	filterBits   = 10 // for each token
	filterProbes = 7
)

// token is the token of a key and a value, given by their hashes.
func token(key, value uint64) uint64 { return mix(key+0x9e3779b97f4a7c15) ^ value }

// pairToken is the token of a service and an operation of one span, by tokenPair, or tokenFailed where the span failed.
func pairToken(kind, service, operation uint64) uint64 { return token(kind^mix(service), operation) }

// valueToken is the token of an attribute. Not all values have one: those of doubles, bytes, arrays and maps are not searched often.
func valueToken(key string, v pcommon.Value) (uint64, bool) {
	hash := xxhash.Sum64String(key)
	switch kindOf(v.Type()) {
	case kindString:
		return token(hash, xxhash.Sum64String(v.Str())), true
	case kindInt:
		return token(hash, xxhash.Sum64String(strconv.FormatInt(v.Int(), 10))), true
	case kindBool:
		return token(hash, xxhash.Sum64String(strconv.FormatBool(v.Bool()))), true
	}
	return 0, false
}

// tokenSet collects the distinct tokens of a block.
type tokenSet struct {
	slots []uint64 // 0: empty; the token 0 is taken for 1
	n     int
}

func (t *tokenSet) reset() {
	if len(t.slots) > maxReused {
		t.slots = nil
	}
	clear(t.slots)
	t.n = 0
}

func (t *tokenSet) add(token uint64) {
	if 2*t.n >= len(t.slots) {
		t.grow()
	}
	token = max(token, 1)
	i := spot(token, len(t.slots))
	for t.slots[i] != 0 {
		if t.slots[i] == token {
			return
		}
		i = (i + 1) & (len(t.slots) - 1)
	}
	t.slots[i] = token
	t.n++
}

func (t *tokenSet) grow() {
	old := t.slots
	t.slots, t.n = make([]uint64, max(1<<12, 2*len(old))), 0
	for _, token := range old {
		if token != 0 {
			t.add(token)
		}
	}
}

// appendFilter appends the filter.
func (t *tokenSet) appendFilter(buf []byte) []byte {
	size := (t.n*filterBits + 7) / 8
	buf = append(buf, make([]byte, size)...)
	f := filter(buf[len(buf)-size:])
	for _, token := range t.slots {
		if token != 0 {
			f.add(token)
		}
	}
	return buf
}

// filter is a Bloom filter with double hashing (Kirsch, Mitzenmacher: Less Hashing, Same Performance, 2006).
type filter []byte

func (f filter) add(token uint64) {
	first, second, n := f.probes(token)
	for range filterProbes {
		at := first % n
		f[at>>3] |= 1 << (at & 7)
		first += second
	}
}

func (f filter) has(token uint64) bool {
	if len(f) == 0 {
		return false
	}
	first, second, n := f.probes(max(token, 1))
	for range filterProbes {
		at := first % n
		if f[at>>3]&(1<<(at&7)) == 0 {
			return false
		}
		first += second
	}
	return true
}

func (f filter) hasText(key uint64, s string) bool { return f.has(token(key, xxhash.Sum64String(s))) }

func (f filter) probes(token uint64) (first, second, n uint64) {
	return token >> 32, mix(token)>>32 | 1, uint64(len(f)) * 8
}
