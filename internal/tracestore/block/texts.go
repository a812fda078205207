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

// texts is a set of strings: an open-addressing table, because the hash is needed for the filter anyway. Hashes stand in the table, so that
// what is not in the set is known without a look at what is.
type texts struct {
	slots []textSlot
	n     int
}

type textSlot struct {
	hash uint64
	text *text // nil: empty
}

func (t *texts) find(hash uint64, s string) *text {
	if len(t.slots) == 0 {
		return nil
	}
	for i := spot(hash, len(t.slots)); ; i = (i + 1) & (len(t.slots) - 1) {
		slot := &t.slots[i]
		if slot.text == nil || slot.hash == hash && slot.text.s == s {
			return slot.text
		}
	}
}

// add adds a copy of a string that is not in the set.
func (t *texts) add(hash uint64, s string) *text {
	if 2*t.n >= len(t.slots) {
		old := t.slots
		t.slots = make([]textSlot, max(32, 2*len(old)))
		for _, slot := range old {
			if slot.text != nil {
				t.put(slot)
			}
		}
	}
	x := &text{s: strings.Clone(s), hash: hash}
	t.put(textSlot{hash, x})
	t.n++
	return x
}

func (t *texts) put(slot textSlot) {
	i := spot(slot.hash, len(t.slots))
	for t.slots[i].text != nil {
		i = (i + 1) & (len(t.slots) - 1)
	}
	t.slots[i] = slot
}

func (t *texts) intern(s string) *text {
	hash := xxhash.Sum64String(s)
	if x := t.find(hash, s); x != nil {
		return x
	}
	return t.add(hash, s)
}
