package pdatalayout

import "unsafe"

// Spans lie all over a call's memory, and who reads them waits for it longer than the reading takes. These let the processor fetch what is
// read next beside what is done now; Go has no other way to say so. They wait for nothing, and change nothing.

const cacheLine = 64

// maxPrefetchedText bounds what is fetched of a string.
const maxPrefetchedText = 2 << 10

// PrefetchText fetches a string, the beginning of a long one.
func PrefetchText(s string) {
	if n := min(len(s), maxPrefetchedText); n > 0 {
		prefetchLines(unsafe.Pointer(unsafe.StringData(s)), (n+cacheLine-1)/cacheLine)
	}
}

// PrefetchList fetches attributes.
func PrefetchList(list []Attribute) {
	if len(list) > 0 {
		prefetchLines(unsafe.Pointer(&list[0]), (len(list)*int(unsafe.Sizeof(list[0]))+cacheLine-1)/cacheLine)
	}
}

// PrefetchValues fetches keys, behind which values mostly stand in what was received, and where values are.
func PrefetchValues(list []Attribute) {
	if len(list) > 0 {
		prefetchValues(unsafe.Pointer(&list[0]), len(list))
	}
}
