package types

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// Hash is a double SHA-256. Its text is Bitcoin's: the bytes reversed, in hex,
// so that the zeros of a proof of work stand in front.
type Hash [32]byte

// Sum returns SHA-256(SHA-256(b)), the hash of the protocol.
func Sum(b []byte) Hash {
	first := sha256.Sum256(b)
	return sha256.Sum256(first[:])
}

// ParseHash reads the 64 hex digits that String writes.
func ParseHash(s string) (Hash, error) {
	var h Hash
	if len(s) != 64 {
		return Hash{}, fmt.Errorf("a hash is 64 hex digits, not %d characters", len(s))
	}
	if _, err := hex.Decode(h[:], []byte(s)); err != nil {
		return Hash{}, fmt.Errorf("a hash is 64 hex digits: %w", err)
	}
	return h.reversed(), nil
}

// String returns the hash as 64 hex digits, last byte first.
func (h Hash) String() string {
	r := h.reversed()
	return hex.EncodeToString(r[:])
}

// MarshalText writes what String returns; it never fails.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads what ParseHash reads.
func (h *Hash) UnmarshalText(text []byte) error {
	parsed, err := ParseHash(string(text))
	if err != nil {
		return err
	}
	*h = parsed
	return nil
}

func (h Hash) reversed() Hash {
	for i := range len(h) / 2 {
		h[i], h[31-i] = h[31-i], h[i]
	}
	return h
}
