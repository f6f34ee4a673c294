package client

import (
	"encoding/hex"
	"encoding/json"
	"errors"

	"cairn/types"
)

// Block is a block as the classic calls show it. Its fields, their names and
// their order are fixed; the same block has the same JSON from every node.
type Block struct {
	Index        uint32        `json:"index"` // height; genesis has 0
	PreviousHash PreviousHash  `json:"previous_hash"`
	Proof        uint32        `json:"proof"`        // the header's nonce
	Timestamp    uint32        `json:"timestamp"`    // Unix seconds
	Transactions []Transaction `json:"transactions"` // transfers in order, then the reward; none in genesis
}

// Transaction is a transfer or a reward as the classic calls show it.
type Transaction struct {
	Amount    json.Number `json:"amount"` // coins, exact decimal text
	Recipient string      `json:"recipient"`
	Sender    string      `json:"sender"` // "0" for a reward
}

// PreviousHash is the hash of a block's parent. In JSON it is 64 hex digits, and
// in the genesis block, which has no parent, the number 0.
type PreviousHash types.Hash

// MarshalJSON writes 64 hex digits in quotes, or the number 0; it never fails.
func (h PreviousHash) MarshalJSON() ([]byte, error) {
	if h == (PreviousHash{}) {
		return []byte{'0'}, nil
	}
	return []byte(`"` + types.Hash(h).String() + `"`), nil
}

// UnmarshalJSON reads what MarshalJSON writes.
func (h *PreviousHash) UnmarshalJSON(b []byte) error {
	if string(b) == "0" {
		*h = PreviousHash{}
		return nil
	}
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return errors.New("previous_hash is 64 hex digits or the number 0")
	}
	parsed, err := types.ParseHash(text)
	*h = PreviousHash(parsed)
	return err
}

// NewTransaction is the body of POST /create-transaction. Amounts are in coins,
// as decimal text. On a network with signatures, Expiry, Salt and Signature are
// needed, because the first two are part of what is signed; elsewhere the node
// fills in what is absent.
type NewTransaction struct {
	Sender    string      `json:"sender"`
	Recipient string      `json:"recipient"`
	Amount    json.Number `json:"amount"`
	Fee       json.Number `json:"fee,omitempty"`
	Memo      string      `json:"memo,omitempty"`      // at most 255 bytes
	Expiry    uint32      `json:"expiry,omitempty"`    // height of the last block that may hold it; 0 leaves it to the node
	Salt      *uint64     `json:"salt,omitempty"`      // nil leaves it to the node
	Signature Signature   `json:"signature,omitempty"` // Ed25519, 64 bytes; empty where the network has none
}

// Signature is the bytes of an Ed25519 signature, in JSON as hex digits.
type Signature []byte

// MarshalText writes two hex digits for each byte; it never fails.
func (s Signature) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(s)), nil }

// Submitted is the answer to POST /create-transaction.
type Submitted struct {
	Message    string `json:"message"`
	BlockIndex uint32 `json:"block_index"` // height of the earliest block that can hold the transfer
}

// Mined is the answer to GET /mine.
type Mined struct {
	Message   string `json:"message"`
	BlockData Block  `json:"block_data"`
}

// Registered is the answer to POST /register-node.
type Registered struct {
	Message   string   `json:"message"`
	NodeCount int      `json:"node_count"`
	Nodes     []string `json:"nodes"` // base URLs without a trailing slash
}

// Synced is the answer to GET /sync-chain without its chain, which is passed on
// block by block.
type Synced struct {
	Message    string      `json:"message"`
	Neighbours []Neighbour `json:"neighbours,omitempty"`
}

// Neighbour is what became of asking one neighbour for its chain.
type Neighbour struct {
	Address string `json:"address"`
	Result  string `json:"result"` // one word
	Detail  string `json:"detail"` // a sentence for people
}
