package block

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// Both halves begin alike:
//
//	magic (3 bytes), version (1) ‖ length of the directory (4) ‖ its checksum (8) ‖ directory ‖ content

const sealSize = 4 + 4 + 8

// appendSealed appends a half. Zero bytes stand behind the content where the total of what is in it, or its largest part, is more than
// a reader takes it for.
func appendSealed(buf []byte, magic string, directory, content []byte, total int) []byte {
	buf = append(append(slices.Grow(buf, sealSize+len(directory)+len(content)), magic...), Version)
	buf = binary.BigEndian.AppendUint32(buf, uint32(len(directory)))
	buf = binary.BigEndian.AppendUint64(buf, xxhash.Sum64(directory))
	buf = append(append(buf, directory...), content...)
	for n := len(content); maxExpanded(n) < total; n++ {
		buf = append(buf, 0)
	}
	return buf
}

// unseal takes a half apart. The error is ErrCorrupt or ErrVersion.
func unseal(data []byte, magic string) (directory, content []byte, err error) {
	if len(data) < sealSize || string(data[:3]) != magic {
		return nil, nil, fmt.Errorf("%w: no %s", ErrCorrupt, magic)
	}
	if data[3] != Version {
		return nil, nil, fmt.Errorf("%w: %d, known is %d", ErrVersion, data[3], Version)
	}
	size, sum := binary.BigEndian.Uint32(data[4:]), binary.BigEndian.Uint64(data[8:])
	data = data[sealSize:]
	if uint64(size) > uint64(len(data)) || xxhash.Sum64(data[:size]) != sum {
		return nil, nil, fmt.Errorf("%w: wrong checksum of the directory", ErrCorrupt)
	}
	return data[:size], data[size:], nil
}
