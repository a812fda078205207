package analysis

import (
	"strings"

	"github.com/tracewright/tracewright/internal/conventions"
)

// maxMessage is how much of a message, in bytes, tells failures apart.
const maxMessage = 4096

// appendNormalized appends message with what differs from case to case taken out: each UUID, each run of hex digits that has
// a decimal digit (0x before it or not), each word that looks drawn by lot (see drawnLength), and each run of decimal digits becomes
// one "#".
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
			i += conventions.UUIDLength
			continue
		}
		end, runs, hex, digit := i, 0, true, false
		for ; end < len(message) && alphanumeric(message[end]); end++ {
			if decimal(message[end]) && (end == i || !decimal(message[end-1])) {
				runs++
			}
			digit = digit || decimal(message[end])
			hex = hex && (hexadecimal(message[end]) || end == i+1 && message[i] == '0' && message[end]|0x20 == 'x')
		}
		switch {
		case hex && digit, end-i >= drawnLength && runs >= drawnRuns:
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

// A word of at least drawnLength characters with digits in at least drawnRuns places is an id in some alphabet, such as base 62.
const drawnLength, drawnRuns = 8, 3

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

// uuid says whether s begins with a UUID that ends there.
func uuid(s string) bool {
	return conventions.StartsUUID(s) && (len(s) == conventions.UUIDLength || !alphanumeric(s[conventions.UUIDLength]))
}

func decimal(c byte) bool { return '0' <= c && c <= '9' }

func hexadecimal(c byte) bool { return decimal(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }

func alphanumeric(c byte) bool { return decimal(c) || 'a' <= c|0x20 && c|0x20 <= 'z' }

// appendMessage appends the message of an error with what differs from case to case taken out: besides what appendNormalized takes,
// each text in quotes and each address (IP, MAC, e-mail, URL) becomes one "#".
//
//	`no shelf "blue" at 10.1.2.3:5432`  →  `no shelf # at #`
func appendMessage(dst []byte, message string) []byte {
	unclosed := [...]bool{false, false} // by quote: none closes any more
	for i := 0; i < len(message); {
		c := message[i]
		if q := strings.IndexByte(`'"`, c); q >= 0 && !unclosed[q] && (i == 0 || !wordy(message[i-1])) {
			if end := closingQuote(message, i); end > 0 {
				dst = append(dst, '#')
				i = end + 1
				continue
			}
			unclosed[q] = true
		}
		if !tokenByte(c) {
			dst = append(dst, c)
			i++
			continue
		}
		end := i + 1
		for end < len(message) && tokenByte(message[end]) {
			end++
		}
		if length := address(message[i:], end-i); length > 0 {
			dst = append(dst, '#')
			i += length
			continue
		}
		dst = appendNormalized(dst, message[i:end])
		i = end
	}
	return dst
}

// closingQuote finds the quote that closes the one at i: no letter or digit follows it, so that an apostrophe does not. It is -1 where
// none does.
func closingQuote(message string, i int) int {
	for end := i + 1; end < len(message); end++ {
		if message[end] == message[i] && (end+1 == len(message) || !wordy(message[end+1])) {
			return end
		}
	}
	return -1
}

// wordy says whether c belongs to a word, or stands for one that was taken out.
func wordy(c byte) bool { return alphanumeric(c) || c == '#' }

// tokenByte says whether c may stand in an address.
func tokenByte(c byte) bool {
	return alphanumeric(c) || c == '.' || c == ':' || c == '/' || c == '@' || c == '-' || c == '_' || c == '+' || c == '%'
}

// address is the length of the address with which s begins, 0 if the token, as long as it is told, is none. A URL may be longer than
// the token.
func address(s string, length int) int {
	token := strings.TrimRight(s[:length], ".:/-")
	if at := strings.Index(token, "://"); at > 0 && alphanumeric(token[at-1]) {
		end := strings.IndexAny(s, " \t\r\n'\"<>()[]{}#")
		if end < 0 {
			end = len(s)
		}
		return len(strings.TrimRight(s[:end], ".:,;"))
	}
	if user, host, ok := strings.Cut(token, "@"); ok && user != "" && host != "" && alphanumeric(user[len(user)-1]) &&
		alphanumeric(host[0]) && strings.Contains(host, ".") {
		return len(token)
	}
	dots, colons, digit := 0, 0, false
	for i := range len(token) {
		switch c := token[i]; {
		case decimal(c):
			digit = true
		case c == '.':
			dots++
		case c == ':':
			colons++
		case !hexadecimal(c) && c != '/':
			return 0
		}
	}
	if digit && (dots == 3 || colons > 1) {
		return len(token)
	}
	return 0
}
