package block

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// Both halves begin alike:
//
//	magic (3 bytes), version (1) ‖ length of the directory (4) ‖ checksum of the directory and the version (8) ‖ directory ‖ content

const sealSize = 4 + 4 + 8

// appendSealed appends a half. Zero bytes stand behind the content where the total of what is in it, or its largest part, is more than
// a reader takes it for.
func appendSealed(buf []byte, magic string, directory, content []byte, total int) []byte {
	buf = append(append(slices.Grow(buf, sealSize+len(directory)+len(content)), magic...), Version)
	buf = binary.BigEndian.AppendUint32(buf, uint32(len(directory)))
	buf = binary.BigEndian.AppendUint64(buf, directorySum(Version, directory))
	buf = append(append(buf, directory...), content...)
	for n := len(content); maxExpanded(n) < total; n++ {
		buf = append(buf, 0)
	}
	return buf
}

// unseal takes a half apart. The error is ErrCorrupt or ErrVersion.
func unseal(data []byte, magic string) (version byte, directory, content []byte, err error) {
	if len(data) < sealSize || string(data[:3]) != magic {
		return 0, nil, nil, fmt.Errorf("%w: no %s", ErrCorrupt, magic)
	}
	if version = data[3]; version == 0 || version > Version {
		return 0, nil, nil, fmt.Errorf("%w: %d, known are 1 to %d", ErrVersion, version, Version)
	}
	size, sum := binary.BigEndian.Uint32(data[4:]), binary.BigEndian.Uint64(data[8:])
	data = data[sealSize:]
	if uint64(size) > uint64(len(data)) || directorySum(version, data[:size]) != sum {
		return 0, nil, nil, fmt.Errorf("%w: wrong checksum of the directory", ErrCorrupt)
	}
	return version, data[:size], data[size:], nil
}

// directorySum is of the directory alone in version 1.
func directorySum(version byte, directory []byte) uint64 {
	sum := xxhash.Sum64(directory)
	if version > 1 {
		sum ^= uint64(version)
	}
	return sum
}
