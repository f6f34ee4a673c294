package consensus

import (
	"bytes"
	"slices"

	"cairn/accounts"
	"cairn/types"
)

// Party is an account that a block names, with its place in the account tree.
type Party struct {
	Account types.Account
	Key     accounts.Key
}

// NewParty returns the party of an account.
func NewParty(a types.Account) Party { return Party{a, accounts.KeyOf(a)} }

// Layout says which accounts a block names, and where. Their balances then stand
// in one slice, and applying the block looks nothing up.
type Layout struct {
	Parties []Party // each once, ascending by key
	places  []int32 // in Parties: of each transfer's sender and recipient, at the end of the reward's recipient
}

// LayOut returns the layout of a block.
func LayOut(b *types.Block) Layout {
	named := 2*len(b.Transfers) + 1
	l := Layout{Parties: make([]Party, 0, named), places: make([]int32, 0, named)}
	met := make(map[types.Account]int32, named)
	note := func(a types.Account) {
		place, ok := met[a]
		if !ok {
			place = int32(len(l.Parties))
			met[a] = place
			l.Parties = append(l.Parties, NewParty(a))
		}
		l.places = append(l.places, place)
	}
	for i := range b.Transfers {
		note(b.Transfers[i].Sender)
		note(b.Transfers[i].Recipient)
	}
	note(b.Reward.Recipient)
	l.sort()
	return l
}

// Balances reads the balance of each party, in base units, and returns the tree
// with all that was read in memory. Its errors are those of accounts.Tree.Load.
func (l *Layout) Balances(t accounts.Tree) (accounts.Tree, []int64, error) {
	leaves := make([]accounts.Leaf, len(l.Parties))
	for i := range leaves {
		leaves[i].Key = l.Parties[i].Key
	}
	t, err := t.Load(leaves)
	if err != nil {
		return t, nil, err
	}
	balances := make([]int64, len(leaves))
	for i := range balances {
		balances[i] = leaves[i].Balance
	}
	return t, balances, nil
}

// sort brings the parties into the order of their keys.
func (l *Layout) sort() {
	order := make([]int32, len(l.Parties))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(i, j int32) int { return bytes.Compare(l.Parties[i].Key[:], l.Parties[j].Key[:]) })
	sorted, moved := make([]Party, len(order)), make([]int32, len(order))
	for to, from := range order {
		sorted[to], moved[from] = l.Parties[from], int32(to)
	}
	for i, place := range l.places {
		l.places[i] = moved[place]
	}
	l.Parties = sorted
}
