package wallet

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha512"
	"encoding/binary"

	"cairn/types"
)

// CoinType is Cairn's number in the paths of BIP 44: 4411982, the bytes "CRN".
// It is not registered in SLIP-0044.
const CoinType = 'C'<<16 | 'R'<<8 | 'N'

// hardened is the bit of an index by which a child key can be had from the
// private key only. Ed25519 has no other children.
const hardened = 1 << 31

// Key returns the private key of account number index, below 2^31: BIP 39 with
// an empty passphrase, then SLIP-0010 along m/44'/4411982'/index'.
func (w Words) Key(index uint32) ed25519.PrivateKey { return keyAt(w.seed(), index) }

// seed returns the 64 bytes of BIP 39, which take a millisecond or two.
func (w Words) seed() []byte { return seedOf(w.Reveal(), "") }

func keyAt(seed []byte, index uint32) ed25519.PrivateKey {
	return DeriveKey(seed, 44, CoinType, index)
}

func accountAt(seed []byte, index uint32) types.Account {
	return accountOf(keyAt(seed, index))
}

func accountOf(key ed25519.PrivateKey) types.Account {
	return types.Account(key.Public().(ed25519.PublicKey))
}

// DeriveKey returns the Ed25519 key at a path from a master seed, as SLIP-0010
// derives it. Every index of the path is hardened, whether its top bit is set or
// not.
func DeriveKey(seed []byte, path ...uint32) ed25519.PrivateKey {
	key, chain := extend([]byte("ed25519 seed"), seed)
	for _, index := range path {
		data := append([]byte{0}, key...)
		key, chain = extend(chain, binary.BigEndian.AppendUint32(data, index|hardened))
	}
	return ed25519.NewKeyFromSeed(key)
}

// extend returns the two halves of HMAC-SHA512: a key and the chain code that
// derives its children.
func extend(chain, data []byte) (key, next []byte) {
	mac := hmac.New(sha512.New, chain)
	mac.Write(data)
	sum := mac.Sum(nil)
	return sum[:32], sum[32:]
}
