package conventions

import "strings"

// Generated names: what tells the parts of a name that somebody chose from those that a program made up.

// idPart says whether a part of a word, between dashes and underscores, is an id rather than a name: digits alone, a long run of
// hex digits, or letters and digits in such disorder that they were drawn by lot. first says that the part begins its word, afterID
// that an id stands before it.
func idPart(part string, first, afterID bool) bool {
	runs, digits, hex := 0, 0, true
	for i := range len(part) {
		c := part[i]
		if isDigit(c) {
			digits++
			if i == 0 || !isDigit(part[i-1]) {
				runs++
			}
		}
		hex = hex && (isHex(c) || i == 1 && c|0x20 == 'x' && part[0] == '0')
	}
	switch {
	case afterID && podSuffix(part):
		return true
	case digits == 0:
		return false
	case digits == len(part):
		return true
	case version(part):
		return false
	case hex && (len(part) >= 8 || len(part) >= 6 && !first || part[0] == '0' && len(part) > 2 && part[1]|0x20 == 'x'):
		return true
	case len(part) >= 8 && runs >= 3, afterID && timeOfDay(part):
		return true
	}
	return !first && len(part) >= 5 && runs >= 2 && safeEncoded(part)
}

// timeOfDay says whether the part goes on with a time after a date: "05T10" and "00Z" of ISO 8601.
func timeOfDay(part string) bool {
	date, hour, _ := strings.Cut(strings.TrimSuffix(part, "Z"), "T")
	return date != "" && allDigits(date) && allDigits(hour)
}

// version says whether the part is a version, as v1 and v2beta1: names have them for good.
func version(part string) bool {
	if len(part) < 2 || len(part) > 12 || part[0]|0x20 != 'v' || !isDigit(part[1]) {
		return false
	}
	rest := strings.TrimLeft(part[1:], "0123456789")
	for _, stage := range [...]string{"alpha", "beta", "rc"} {
		if after, ok := strings.CutPrefix(rest, stage); ok {
			rest = strings.TrimLeft(after, "0123456789")
			break
		}
	}
	return rest == ""
}

// podSuffix says whether the part may be what Kubernetes appends to make a name unique: five characters without vowels, nor
// digits that look like them (k8s.io/apimachinery/pkg/util/rand).
func podSuffix(part string) bool { return len(part) == 5 && safeEncoded(part) }

func safeEncoded(part string) bool {
	for i := range len(part) {
		if strings.IndexByte("bcdfghjklmnpqrstvwxz2456789", part[i]) < 0 {
			return false
		}
	}
	return true
}

// ownerName is the name of the workload that a generated name begins with: of the replica set "orders-6d4b75cb6d", the job
// "backup-28472340", the pods "orders-6d4b75cb6d-x2x7z" and "store-0" it is "orders", "backup" and "store". A name is never left empty.
func ownerName(name string, pod bool) string {
	owner, last, ok := cutLast(name)
	if !ok {
		return name
	}
	if !pod {
		if hashed(last) || idPart(last, false, false) {
			return owner
		}
		return name
	}
	if !podSuffix(last) && !idPart(last, false, false) {
		return name
	}
	if before, hash, ok := cutLast(owner); ok && !allDigits(last) && (hashed(hash) || idPart(hash, false, false)) {
		return before
	}
	return owner
}

func cutLast(name string) (before, last string, ok bool) {
	i := strings.LastIndexByte(name, '-')
	if i <= 0 || i == len(name)-1 {
		return name, "", false
	}
	return name[:i], name[i+1:], true
}

// hashed says whether the part may be the hash of a pod template.
func hashed(part string) bool {
	return len(part) >= 8 && len(part) <= 10 && safeEncoded(part) && strings.ContainsAny(part, "2456789")
}

func allDigits(part string) bool {
	for i := range len(part) {
		if !isDigit(part[i]) {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isHex(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }

// UUIDLength is the number of bytes of a UUID as text.
const UUIDLength = 36

// StartsUUID says whether s starts with a UUID, whatever follows it.
func StartsUUID(s string) bool {
	if len(s) < UUIDLength {
		return false
	}
	for i := range UUIDLength {
		switch i {
		case 8, 13, 18, 23:
			if s[i] != '-' {
				return false
			}
		default:
			if !isHex(s[i]) {
				return false
			}
		}
	}
	return true
}

// beginsUUID says whether s begins with a UUID that ends there.
func beginsUUID(s string) bool {
	return StartsUUID(s) && (len(s) == UUIDLength || !inPart(s[UUIDLength]))
}
