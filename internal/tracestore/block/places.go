package block

import "slices"

// placeIndex finds the spans of a release by their id: an open-addressing table, reused. Of equal ids it finds one.
type placeIndex struct {
	slots []int32 // place + 1
	ids   []uint64
}

func (p *placeIndex) fill(spans []spanRecord) {
	size := 4
	for size < 2*len(spans) {
		size *= 2
	}
	p.slots, p.ids = resize(p.slots, size), resize(p.ids, len(spans))
	clear(p.slots)
	for i := range spans {
		id := spans[i].id
		p.ids[i] = id
		at := spot(id, size)
		for p.slots[at] != 0 && p.ids[p.slots[at]-1] != id {
			at = (at + 1) & (size - 1)
		}
		p.slots[at] = int32(i + 1)
	}
}

// find is a place of the id, noParent where it has none.
func (p *placeIndex) find(id uint64) int {
	if len(p.slots) == 0 {
		return noParent
	}
	for at := spot(id, len(p.slots)); p.slots[at] != 0; at = (at + 1) & (len(p.slots) - 1) {
		if place := int(p.slots[at] - 1); p.ids[place] == id {
			return place
		}
	}
	return noParent
}

// resize is a slice of length n; what it holds is undefined.
func resize[T any](list []T, n int) []T {
	return slices.Grow(list[:0], n)[:n]
}

// maxReused bounds the room, in elements, that is kept for the next block: one release in a million is very large.
const maxReused = 1 << 20

// reuse is an empty slice with the room of list, if that is not too much.
func reuse[T any](list []T) []T {
	if cap(list) > maxReused {
		return nil
	}
	return list[:0]
}
