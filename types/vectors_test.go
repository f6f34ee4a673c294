package types

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
)

// bytesHex is bytes that stand as hex in a test vector.
type bytesHex []byte

func (b *bytesHex) UnmarshalText(text []byte) (err error) {
	*b, err = hex.DecodeString(string(text))
	return err
}

// vectors are the published test vectors. They were made from the text of the
// protocol by a program that shares nothing with this package.
type vectors struct {
	Headers []struct {
		Version    uint32
		Previous   Hash
		MerkleRoot Hash `json:"merkle_root"`
		Time, Bits uint32
		Nonce      uint32
		Encoding   bytesHex
		Hash       Hash
	}
	Transfers []struct {
		Sender, Recipient bytesHex
		Amount, Fee       uint64
		Expiry            uint32
		Salt              uint64
		Memo, Signature   bytesHex
		Encoding          bytesHex
		ID                Hash
	}
	Rewards []struct {
		Height     uint32
		Extra      bytesHex
		Amount     uint64
		Recipient  bytesHex
		Commitment bytesHex
		Encoding   bytesHex
		ID         Hash
	}
	Blocks []struct {
		Reward    int
		Transfers []int
		IDs       []Hash
		Hash      Hash
		Encoding  bytesHex
	}
	Counts []struct {
		Count    json.Number
		Encoding bytesHex
	}
	Merkle []struct {
		IDs  int
		Root Hash
	}
}

func (v *vectors) header(i int) Header {
	h := v.Headers[i]
	return Header{Version: h.Version, Previous: h.Previous, MerkleRoot: h.MerkleRoot, Time: h.Time, Bits: h.Bits, Nonce: h.Nonce}
}

func (v *vectors) transfer(i int) Transfer {
	t := v.Transfers[i]
	return Transfer{
		Sender: Account(t.Sender), Recipient: Account(t.Recipient), Amount: t.Amount, Fee: t.Fee,
		Expiry: t.Expiry, Salt: t.Salt, Memo: string(t.Memo), Signature: [SignatureSize]byte(t.Signature),
	}
}

func (v *vectors) reward(i int) Reward {
	r := v.Rewards[i]
	return Reward{
		Height: r.Height, Extra: append([]byte{}, r.Extra...), Amount: r.Amount,
		Recipient: Account(r.Recipient), Commitment: [32]byte(r.Commitment),
	}
}

// block puts a block of the vectors together from its parts.
func (v *vectors) block(i int) *Block {
	c := v.Blocks[i]
	b := &Block{Header: v.header(0), Reward: v.reward(c.Reward)}
	for _, t := range c.Transfers {
		b.Transfers = append(b.Transfers, v.transfer(t))
	}
	b.Header.MerkleRoot, _ = MerkleRoot(b.IDs())
	b.Header.Nonce = uint32(len(c.Transfers))
	return b
}

func readVectors(t testing.TB) *vectors {
	t.Helper()
	var v vectors
	readJSON(t, "testdata/encodings.json", &v)
	if len(v.Headers) == 0 || len(v.Transfers) == 0 || len(v.Rewards) == 0 || len(v.Blocks) == 0 || len(v.Counts) == 0 || len(v.Merkle) == 0 {
		t.Fatal("testdata/encodings.json lacks vectors")
	}
	return &v
}

func readJSON(t testing.TB, name string, v any) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}
