package block

import (
	"strings"

	"github.com/cespare/xxhash/v2"
)

// text is a string that the encoder knows for longer than a block. Its number counts in the block of that epoch only.
type text struct {
	s      string
	hash   uint64
	epoch  uint32
	number uint32
}

// textBytes is what a text takes besides its string, with its places in tables.
const textBytes = 96

// texts is a set of strings: an open-addressing table, because the hash is needed for the filter anyway.
type texts struct {
	slots []*text
	n     int
}

func (t *texts) find(hash uint64, s string) *text {
	if len(t.slots) == 0 {
		return nil
	}
	for i := spot(hash, len(t.slots)); ; i = (i + 1) & (len(t.slots) - 1) {
		x := t.slots[i]
		if x == nil || x.hash == hash && x.s == s {
			return x
		}
	}
}

// add adds a copy of a string that is not in the set.
func (t *texts) add(hash uint64, s string) *text {
	if 2*t.n >= len(t.slots) {
		old := t.slots
		t.slots = make([]*text, max(32, 2*len(old)))
		for _, x := range old {
			if x != nil {
				t.put(x)
			}
		}
	}
	x := &text{s: strings.Clone(s), hash: hash}
	t.put(x)
	t.n++
	return x
}

func (t *texts) put(x *text) {
	i := spot(x.hash, len(t.slots))
	for t.slots[i] != nil {
		i = (i + 1) & (len(t.slots) - 1)
	}
	t.slots[i] = x
}

func (t *texts) intern(s string) *text {
	hash := xxhash.Sum64String(s)
	if x := t.find(hash, s); x != nil {
		return x
	}
	return t.add(hash, s)
}
