package consensus

import (
	"errors"
	"fmt"
	"strings"

	"cairn/accounts"
	"cairn/internal/jsonobject"
	"cairn/types"
)

// ErrGenesis says that a genesis file, or rules that a program put together, are
// not valid. The text names the field, and says what would be right.
var ErrGenesis = errors.New("not a valid genesis file")

// ParseGenesis reads a genesis file: a JSON object with every field of the table
// in docs/protocol.md, section 2, and no other. Anything that is not exactly
// right is ErrGenesis.
func ParseGenesis(data []byte) (*Rules, error) {
	o, err := jsonobject.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrGenesis, err)
	}
	r := new(Rules)
	if err := r.readAll(o); err != nil {
		return nil, err
	}
	if len(o.Keys) > len(fields) {
		return nil, fmt.Errorf("%w: unknown field %q; the fields are %s", ErrGenesis, unknownField(o.Keys), fieldNames())
	}
	if err := r.derive(); err != nil {
		return nil, err
	}
	return r, nil
}

func unknownField(keys []string) string {
	for _, key := range keys {
		known := false
		for i := range fields {
			known = known || fields[i].name == key
		}
		if !known {
			return key
		}
	}
	return ""
}

func fieldNames() string {
	var names []string
	for i := range fields {
		names = append(names, fields[i].name)
	}
	return strings.Join(names, ", ")
}

// JSON returns the genesis file of the rules, which ParseGenesis reads back: one
// line for each field, in the order of the table. Amounts are written as text,
// so that no tool rounds them.
func (r *Rules) JSON() []byte {
	var lines []string
	for i := range fields {
		lines = append(lines, fmt.Sprintf("\n  %q: %s", fields[i].name, fields[i].show(r)))
	}
	return []byte("{" + strings.Join(lines, ",") + "\n}\n")
}

// protocolNumber stands first in the encoding of the rules. A new rule is a new
// number, and so another chain.
const protocolNumber = 1

// Encode returns the binary form of the rules, whose hash genesis holds.
func (r *Rules) Encode() []byte {
	b := []byte{protocolNumber, 0, 0, 0}
	for i := range fields {
		b = fields[i].encode(b, r)
	}
	return b
}

// Genesis returns the first block, which every node of the network makes for
// itself.
func (r *Rules) Genesis() *types.Block { return r.genesis }

// GenesisState returns the state after genesis, which no work was done for.
func (r *Rules) GenesisState() State {
	return State{Hash: r.chainID, Time: r.Time, Bits: r.Bits, Base: r.Bits}
}

// GenesisBalances returns what genesis changes: each allocation, sorted by
// account.
func (r *Rules) GenesisBalances() []Change {
	changes := make([]Change, len(r.Allocations))
	for i, a := range r.Allocations {
		changes[i] = Change{Party: NewParty(a.Account), After: int64(a.Amount)}
	}
	return changes
}

// makeGenesis builds the first block. Its miner's own bytes are the hash of the
// rules, so that its own hash commits to them all.
func (r *Rules) makeGenesis() (*types.Block, error) {
	tree, err := accounts.New(nil).Update(LeavesAfter(r.GenesisBalances())) // all of it is in memory: nothing is read
	if err != nil {
		return nil, err
	}
	rules := types.Sum(r.Encode())
	reward := types.Reward{Extra: rules[:], Commitment: Commitment(tree.Root(), [32]byte{})}
	return &types.Block{
		Header: types.Header{
			Version:    versionForm,
			MerkleRoot: reward.ID(),
			Time:       r.Time,
			Bits:       r.Bits,
		},
		Reward: reward,
	}, nil
}
