package consensus

import (
	"bytes"
	"iter"
	"math"
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

// RewardPosition stands for a block's reward among the positions of its transfers:
// it is the last that is applied.
const RewardPosition = math.MaxUint32

// Mentions goes through the parties, each with the positions of the transfers that
// name it, ascending; RewardPosition is among those of the reward's recipient.
func (l *Layout) Mentions() iter.Seq2[*Party, []uint32] {
	return func(yield func(*Party, []uint32) bool) {
		ends := make([]int32, len(l.Parties)+1)
		l.eachMention(func(party int32, _ uint32) { ends[party+1]++ })
		for i := range l.Parties {
			ends[i+1] += ends[i]
		}
		positions := make([]uint32, ends[len(l.Parties)])
		l.eachMention(func(party int32, position uint32) {
			positions[ends[party]] = position
			ends[party]++
		})
		first := int32(0)
		for i := range l.Parties {
			if !yield(&l.Parties[i], positions[first:ends[i]:ends[i]]) {
				return
			}
			first = ends[i]
		}
	}
}

// eachMention calls fn for each party of each transfer, in order; one that pays
// itself is named once.
func (l *Layout) eachMention(fn func(party int32, position uint32)) {
	last := len(l.places) - 1
	for i := 0; i < last; i += 2 {
		fn(l.places[i], uint32(i/2))
		if l.places[i+1] != l.places[i] {
			fn(l.places[i+1], uint32(i/2))
		}
	}
	fn(l.places[last], RewardPosition)
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
