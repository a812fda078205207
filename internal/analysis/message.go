package analysis

// maxMessage is how much of a message, in bytes, tells failures apart.
const maxMessage = 4096

// appendNormalized appends message with what differs from case to case taken out: each UUID, each run of hex digits that has
// a decimal digit (0x before it or not), and each run of decimal digits becomes one "#".
//
//	"order 4711 of user 8f14e45f: no shelf"  →  "order # of user #: no shelf"
func appendNormalized(dst []byte, message string) []byte {
	for i := 0; i < len(message); {
		if !alphanumeric(message[i]) {
			dst = append(dst, message[i])
			i++
			continue
		}
		if uuid(message[i:]) {
			dst = append(dst, '#')
			i += uuidLength
			continue
		}
		end, hex, digit := i, true, false
		for ; end < len(message) && alphanumeric(message[end]); end++ {
			digit = digit || decimal(message[end])
			hex = hex && (hexadecimal(message[end]) || end == i+1 && message[i] == '0' && message[end]|0x20 == 'x')
		}
		switch {
		case hex && digit:
			dst = append(dst, '#')
		case digit:
			dst = appendWithoutDigits(dst, message[i:end])
		default:
			dst = append(dst, message[i:end]...)
		}
		i = end
	}
	return dst
}

func appendWithoutDigits(dst []byte, word string) []byte {
	for i := range len(word) {
		switch {
		case !decimal(word[i]):
			dst = append(dst, word[i])
		case i == 0 || !decimal(word[i-1]):
			dst = append(dst, '#')
		}
	}
	return dst
}

const uuidLength = 36

// uuid says whether s begins with a UUID that ends there.
func uuid(s string) bool {
	if len(s) < uuidLength || len(s) > uuidLength && alphanumeric(s[uuidLength]) {
		return false
	}
	for i := range uuidLength {
		switch i {
		case 8, 13, 18, 23:
			if s[i] != '-' {
				return false
			}
		default:
			if !hexadecimal(s[i]) {
				return false
			}
		}
	}
	return true
}

func decimal(c byte) bool { return '0' <= c && c <= '9' }

func hexadecimal(c byte) bool { return decimal(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }

func alphanumeric(c byte) bool { return decimal(c) || 'a' <= c|0x20 && c|0x20 <= 'z' }
