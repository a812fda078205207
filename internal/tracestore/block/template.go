package block

import "strconv"

// Strings that do not repeat between traces are parted into a template, which mostly does, and variables: numbers in binary. CLP
// does that for logs (Rodrigues, Luo, Yuan: CLP: Efficient and Scalable Search on Compressed Text Logs, OSDI 2021).
//
// A template holds the bytes of the string with placeholders below phEnd in it. A string that has such bytes itself is kept whole, as are
// long ones.
const (
	phShort   = 1 // decimal without leading zeros, 3 or 4 digits
	phDecimal = 2 // decimal without leading zeros, 5 to 18 digits
	phHex     = 3 // lower-case hexadecimal; a byte '0' + number of digits (1 to 16) follows
	phUUID    = 4 // 8-4-4-4-12 lower-case hexadecimal digits
	phIPv4    = 5
	phSpan    = 6 // 16 lower-case hexadecimal digits, the id of a span of this release: its place
	phEnd     = 8
)

// maxTemplated bounds the strings that are looked at byte by byte.
const maxTemplated = 256

// variable is one number of a templated string.
type variable struct {
	remembered
	width byte // 0: classed; widthUUID
	// known variables may refer to one seen before in the release, see memory.
	known bool
	place bool // of a span: stands among the codes
}

// remembered is what a variable that is known holds.
type remembered struct {
	value uint64
	more  [2]uint64 // of a UUID, what follows its first 32 bits
}

// widthUUID is the width of UUIDs: 32 bits, and twice 48.
const widthUUID = 128

// memory remembers the last variables of a release, over all its columns: an order's number stands in several of them.
type memory struct {
	n      int
	values [16]uint64
	more   [16][2]uint64
	// blind says that not all columns are read; unknown becomes true where a variable refers to what was not seen for that.
	blind, unknown bool
}

func (m *memory) find(v *remembered) int {
	for i := range min(m.n, len(m.values)) {
		if m.values[i] == v.value && m.more[i] == v.more {
			return i
		}
	}
	return -1
}

func (m *memory) add(v *remembered) {
	at := m.n % len(m.values)
	m.values[at], m.more[at] = v.value, v.more
	m.n++
}

// Classes of characters.
const (
	charDigit = 1 << iota
	charHex   // a to f
	charAlnum
	charControl // a placeholder
)

var charClass = func() (t [256]byte) {
	for c := '0'; c <= '9'; c++ {
		t[c] = charDigit | charAlnum
	}
	for c := 'a'; c <= 'z'; c++ {
		t[c], t[c-'a'+'A'] = charAlnum, charAlnum
	}
	for c := 'a'; c <= 'f'; c++ {
		t[c] |= charHex
	}
	for c := range phEnd {
		t[c] = charControl
	}
	return t
}()

// templater parts strings. Its slices are reused.
type templater struct {
	template  []byte
	variables []variable
	// place finds a span of the release by its id.
	place func(id uint64) int
}

// split fills template and variables; false where s is to be kept whole, because there is nothing to take out of it or for its bytes.
func (t *templater) split(s string) bool {
	t.template, t.variables = t.template[:0], t.variables[:0]
	if len(s) > maxTemplated {
		return false
	}
	copied := 0 // of s
	for i := 0; i < len(s); {
		class := charClass[s[i]]
		if class&charAlnum == 0 {
			if class == charControl {
				return false
			}
			i++
			continue
		}
		end, kinds := run(s, i)
		if to := t.token(s, copied, i, end, kinds); to > 0 {
			i, copied = to, to
			continue
		}
		i = end
	}
	t.template = append(t.template, s[copied:]...)
	return copied > 0
}

// run is the end of the letters and digits from i on, and which kinds they have in common: charDigit alone where they are digits,
// with charHex where they are hexadecimal, 0 where they are neither.
func run(s string, i int) (end int, kinds byte) {
	plain := true
	for end = i; end < len(s); end++ {
		class := charClass[s[end]]
		if class&charAlnum == 0 {
			break
		}
		kinds |= class &^ charAlnum
		plain = plain && class != charAlnum
	}
	if !plain || kinds&charDigit == 0 {
		return end, 0
	}
	return end, kinds
}

// token takes variables out of the run from i to end and what follows it. It returns to where it took, 0 if nothing.
func (t *templater) token(s string, copied, i, end int, kinds byte) int {
	n := end - i
	switch {
	case kinds == 0:
		return 0
	case n == 8 && len(s)-i >= 36 && isUUID(s[i:i+36]):
		id := remembered{value: unhex(s[i : i+8])}
		id.more[0] = unhex(s[i+9:i+13])<<32 | unhex(s[i+14:i+18])<<16 | unhex(s[i+19:i+23])
		id.more[1] = unhex(s[i+24 : i+36])
		t.take(s[copied:i], phUUID, variable{remembered: id, width: widthUUID, known: true})
		return i + 36
	case kinds == charDigit && n <= 18 && (n == 1 || s[i] != '0'):
		if n <= 3 && end < len(s) && s[end] == '.' {
			if ip, to := parseIPv4(s, i); to > 0 {
				t.take(s[copied:i], phIPv4, variable{remembered: remembered{value: ip}, width: 32, known: true})
				return to
			}
		}
		if n < 3 {
			return 0
		}
		placeholder, value := byte(phDecimal), uint64(0)
		if n < 5 {
			placeholder = phShort
		}
		for _, c := range []byte(s[i:end]) {
			value = 10*value + uint64(c-'0')
		}
		t.take(s[copied:i], placeholder, variable{remembered: remembered{value: value}, known: n >= 5})
		return end
	case n >= 8:
		t.hex(s, copied, i, end)
		return end
	}
	return 0
}

func (t *templater) hex(s string, copied, i, end int) {
	if end-i == 16 && t.place != nil {
		if at := t.place(unhex(s[i:end])); at >= 0 {
			t.take(s[copied:i], phSpan, variable{remembered: remembered{value: uint64(at)}, place: true})
			return
		}
	}
	for ; i < end; i += 16 {
		digits := min(16, end-i)
		t.take(s[copied:i], phHex, variable{remembered: remembered{value: unhex(s[i : i+digits])}, width: byte(4 * digits), known: true})
		t.template = append(t.template, '0'+byte(digits))
		copied = i + digits
	}
}

func (t *templater) take(literal string, placeholder byte, v variable) {
	t.template = append(append(t.template, literal...), placeholder)
	t.variables = append(t.variables, v)
}

func isUUID(s string) bool {
	for i := range 36 {
		switch i {
		case 8, 13, 18, 23:
			if s[i] != '-' {
				return false
			}
		default:
			if charClass[s[i]]&(charDigit|charHex) == 0 {
				return false
			}
		}
	}
	return true
}

func unhex(s string) (v uint64) {
	for _, c := range []byte(s) {
		v = v<<4 | uint64(c&15+9*(c>>6))
	}
	return v
}

// parseIPv4 reads an address without leading zeros at i; to is 0 where there is none.
func parseIPv4(s string, i int) (ip uint64, to int) {
	for part := range 4 {
		n, v := 0, uint64(0)
		for ; i < len(s) && charClass[s[i]]&charDigit != 0 && n < 4; i++ {
			v = 10*v + uint64(s[i]-'0')
			n++
		}
		if n == 0 || v > 255 || n > 1 && s[i-n] == '0' {
			return 0, 0
		}
		ip = ip<<8 | v
		if part == 3 {
			break
		}
		if i == len(s) || s[i] != '.' {
			return 0, 0
		}
		i++
	}
	if i < len(s) && charClass[s[i]]&charAlnum != 0 {
		return 0, 0
	}
	return ip, i
}

func appendHex(buf []byte, v uint64, digits int) []byte {
	for i := digits - 1; i >= 0; i-- {
		buf = append(buf, "0123456789abcdef"[v>>(4*i)&15])
	}
	return buf
}

func appendIPv4(buf []byte, v uint64) []byte {
	for shift := 24; shift >= 0; shift -= 8 {
		buf = strconv.AppendUint(buf, v>>shift&255, 10)
		if shift > 0 {
			buf = append(buf, '.')
		}
	}
	return buf
}

func appendUUID(buf []byte, id *remembered) []byte {
	buf = append(appendHex(buf, id.value, 8), '-')
	for shift := 32; shift >= 0; shift -= 16 {
		buf = append(appendHex(buf, id.more[0]>>shift, 4), '-')
	}
	return appendHex(buf, id.more[1], 12)
}
