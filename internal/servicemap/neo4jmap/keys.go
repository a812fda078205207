package neo4jmap

import (
	"encoding/binary"
	"encoding/hex"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// keyOf is a key that nothing else has: 128 bits of its parts, as 32 hex digits, so that keys of the same length hold names of any.
func keyOf(parts ...string) string {
	// As tracetree.NewCallID does, and for the same reason.
	low, high := xxhash.NewWithSeed(0), xxhash.NewWithSeed(0x9e3779b97f4a7c15)
	var length [4]byte
	for _, part := range parts {
		binary.LittleEndian.PutUint32(length[:], uint32(len(part)))
		_, _ = low.Write(length[:]) // never fails
		_, _ = high.Write(length[:])
		_, _ = low.WriteString(part)
		_, _ = high.WriteString(part)
	}
	var sum [16]byte
	binary.BigEndian.PutUint64(sum[:8], low.Sum64())
	binary.BigEndian.PutUint64(sum[8:], high.Sum64())
	return hex.EncodeToString(sum[:])
}

func serviceKey(tenant, name string) string { return keyOf(tenant, "service", name) }

func entryKey(tenant, service, operation string) string {
	return keyOf(tenant, "entry", service, operation)
}

func pairKey(tenant, from, to string) string { return keyOf(tenant, "pair", from, to) }

// valid is the text as Neo4j takes it: it knows no invalid UTF-8.
func valid(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }
