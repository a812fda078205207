package block

import "errors"

var (
	// ErrCorrupt says that the bytes are not those that an Encoder wrote.
	ErrCorrupt = errors.New("block is corrupt")
	// ErrVersion says that a newer version wrote the block.
	ErrVersion = errors.New("block is of an unknown format version")
	// ErrTooLarge says that a release is above MaxReleaseBytes.
	ErrTooLarge = errors.New("release is too large")
)

const (
	// MaxReleaseBytes bounds a release as OTLP.
	MaxReleaseBytes = 256 << 20
	// MaxReleases bounds the releases of a block.
	MaxReleases = 1 << 16
)
