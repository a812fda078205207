package conventions

import "strings"

// MaxTracestateMembers is how many members a tracestate has at most; empty ones count.
const MaxTracestateMembers = 32

// maxTracestateText is the size of a key, and of a value, in bytes.
const maxTracestateText = 256

// TracestateFaults are the rules of W3C Trace Context Level 2 that a tracestate breaks.
type TracestateFaults struct {
	// Invalid says that a member is not a key and a value as the grammar has them.
	Invalid bool
	// DuplicateKey says that a key stands more than once, of the members that are not invalid.
	DuplicateKey bool
	// TooManyMembers says that there are more than MaxTracestateMembers. Those above are not looked at, so that a tracestate
	// costs no more than its length.
	TooManyMembers bool
}

// ReadTracestate checks a tracestate against this grammar:
//
//	list        = list-member 0*31( OWS "," OWS list-member )
//	list-member = key "=" value / OWS
//	key         = ( lcalpha / DIGIT ) 0*255( lcalpha / DIGIT / "_" / "-" / "*" / "/" / "@" )
//	value       = 0*255( %x20 / nblk-chr ) nblk-chr
//	nblk-chr    = %x21-2B / %x2D-3C / %x3E-7E
//
// OWS is any number of spaces and tabs. Level 1 allowed one "@" in a key, between tenant and system, and no digit at the start of
// a key without it: whatever it allowed is still allowed. Keys are compared as they are.
//
// ot is the value of OpenTelemetry's member, the first if there are several; see ReadSampling.
func ReadTracestate(tracestate string) (found TracestateFaults, ot string) {
	var (
		keys   [MaxTracestateMembers]string
		hashes [MaxTracestateMembers]uint32 // of the keys, which are compared where these are equal
		n      int
	)
	for members, more := 0, tracestate != ""; more; members++ {
		if members == MaxTracestateMembers {
			found.TooManyMembers = true
			break
		}
		var member string
		member, tracestate, more = strings.Cut(tracestate, ",")
		if member = trimBlank(member); member == "" {
			continue
		}
		key, hash, ok := tracestateKey(member)
		if !ok {
			found.Invalid = true
			continue
		}
		for i := range n {
			found.DuplicateKey = found.DuplicateKey || hashes[i] == hash && keys[i] == key
		}
		if key == "ot" && ot == "" {
			ot = member[len("ot="):]
		}
		keys[n], hashes[n] = key, hash
		n++
	}
	return found, ot
}

// tracestateKey is the key of a member that has no blanks around it, with a hash, and whether key and value are valid.
func tracestateKey(member string) (key string, hash uint32, ok bool) {
	end := 0
	for end < len(member) && tracestateBytes[member[end]]&inKey != 0 {
		hash = hash*31 + uint32(member[end])
		end++
	}
	if end == 0 || end > maxTracestateText || tracestateBytes[member[0]]&startsKey == 0 || end == len(member) || member[end] != '=' {
		return "", 0, false
	}
	value := member[end+1:]
	if value == "" || len(value) > maxTracestateText {
		return "", 0, false
	}
	for i := range len(value) {
		if tracestateBytes[value[i]]&inValue == 0 {
			return "", 0, false
		}
	}
	return member[:end], hash, true // the value's last byte is no blank, or it would have been cut
}

func trimBlank(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// Where a byte may stand in a tracestate.
const (
	startsKey = 1 << iota
	inKey
	inValue
)

var tracestateBytes = func() (table [256]uint8) {
	for b := ' '; b <= '~'; b++ {
		if b != ',' && b != '=' {
			table[b] |= inValue
		}
	}
	for b := 'a'; b <= 'z'; b++ {
		table[b] |= startsKey | inKey
	}
	for b := '0'; b <= '9'; b++ {
		table[b] |= startsKey | inKey
	}
	for _, b := range "_-*/@" {
		table[b] |= inKey
	}
	return table
}()
