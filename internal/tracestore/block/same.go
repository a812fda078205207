package block

import "unsafe"

// same says whether two strings are equal. It is done for each key and each value of each span; == calls for what is done here in a few
// instructions for the lengths that they have.
func same(a, b string) bool {
	n := len(a)
	if n != len(b) {
		return false
	}
	x, y := unsafe.Pointer(unsafe.StringData(a)), unsafe.Pointer(unsafe.StringData(b))
	if x == y {
		return true
	}
	if n < 8 || n > 64 {
		return a == b
	}
	last := n - 8
	for i := 0; i < last; i += 8 {
		if *(*uint64)(unsafe.Add(x, i)) != *(*uint64)(unsafe.Add(y, i)) {
			return false
		}
	}
	return *(*uint64)(unsafe.Add(x, last)) == *(*uint64)(unsafe.Add(y, last))
}
