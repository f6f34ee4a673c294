package consensus

import (
	"crypto/ed25519"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"cairn/accounts"
	"cairn/internal/naive"
	"cairn/types"
)

// A walk offers random blocks, valid and not, to a node and to the naive twin
// and compares what they make of them. Everything about it follows from a seed.
type walk struct {
	rng   *rand.Rand
	node  *node
	dumb  *naive.Chain
	names []types.Account
	keys  map[types.Account]ed25519.PrivateKey
	now   int64
}

const (
	walks        = 200
	stepsPerWalk = 50
)

// TestNaiveTwin takes 10,000 steps, with -short a tenth. One walk is repeated by
// -run 'TestNaiveTwin/seed=17$'.
func TestNaiveTwin(t *testing.T) {
	accepted, refused, walks := 0, 0, walks
	if testing.Short() {
		walks /= 10
	}
	for seed := range uint64(walks) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			w := newWalk(t, seed)
			for step := range stepsPerWalk {
				ok, err := w.step()
				if err != nil {
					t.Fatalf("seed %d, step %d (%d in all): %v", seed, step, int(seed)*stepsPerWalk+step, err)
				}
				if ok {
					accepted++
				} else {
					refused++
				}
			}
		})
		if t.Failed() {
			return
		}
	}
	if accepted < refused || refused < walks*stepsPerWalk/10 {
		t.Errorf("%d blocks accepted, %d refused: too one-sided to mean much", accepted, refused)
	}
}

func newWalk(t *testing.T, seed uint64) *walk {
	t.Helper()
	w := &walk{rng: rand.New(rand.NewPCG(seed, 0x6361697261)), keys: map[types.Account]ed25519.PrivateKey{}}
	r := w.randomRules()
	rules, err := NewRules(r)
	if err != nil {
		t.Fatal(err)
	}
	w.node = newNode(t, rules)
	if w.dumb, err = naive.New(twin(rules), rules.Genesis()); err != nil {
		t.Fatal(err)
	}
	return w
}

func pick[T any](rng *rand.Rand, from ...T) T { return from[rng.IntN(len(from))] }

// randomRules makes a network whose every limit is soon reached.
func (w *walk) randomRules() Rules {
	rng := w.rng
	r := testRules(false)
	r.Signatures = rng.IntN(5) == 0
	r.CreditLimit = pick[uint64](rng, 0, 1, 50, types.MaxAmount)
	if r.Signatures {
		r.CreditLimit = 0
	}
	r.MinBalance = pick[uint64](rng, 0, 1, 10)
	r.Reward = pick[uint64](rng, 0, 1, 40, 1000, types.MaxAmount/3)
	r.HalvingInterval = pick[uint32](rng, 0, 1, 3)
	r.TxLifetime = 1 + rng.Uint32N(4)
	r.HalfLife = pick[uint32](rng, 0, 120)
	r.MaxBlockSize = pick[uint32](rng, 1000, 2000)

	for i := range pick(rng, 6, 6, 40) {
		name := fmt.Sprint("account ", i)
		account := testAccount(r.Signatures, name)
		w.names = append(w.names, account)
		w.keys[account] = testKey(name)
	}
	r.Allocations = nil
	left := uint64(types.MaxAmount)
	for _, a := range w.names[:rng.IntN(4)] {
		amount := pick(rng, 1, 100, 1000, left/2, left-50)
		if amount > 0 && amount <= left {
			r.Allocations = append(r.Allocations, Allocation{a, amount})
			left -= amount
		}
	}
	return r
}

// step offers one block to both. It returns whether they accepted it, or how
// they differ.
func (w *walk) step() (bool, error) {
	parent := w.node.tip
	if w.rng.IntN(5) == 0 {
		recent := w.dumb.Blocks[max(0, len(w.dumb.Blocks)-8):]
		parent = pick(w.rng, recent...).Header.Hash()
	}
	block := w.block(w.dumb.Branch(parent))
	raw := block.Encode()
	mine := w.node.add(raw, uint64(w.now))
	theirs := w.dumb.Add(block, w.now)
	if (mine == nil) != (theirs == nil) {
		return false, fmt.Errorf("the code says %v, the naive twin %v", mine, theirs)
	}
	if err := w.compare(); err != nil {
		return false, fmt.Errorf("after %v: %w", mine, err)
	}
	switch w.rng.IntN(20) {
	case 0:
		return mine == nil, w.node.rebuild()
	case 1:
		w.node.tree = w.node.tree.Trim(w.rng.IntN(3))
	}
	return mine == nil, nil
}

// compare checks everything that a node knows after its tip.
func (w *walk) compare() error {
	branch := w.dumb.Branch(w.node.tip)
	balances := w.dumb.Balances(branch)
	if !maps.Equal(balances, naive.Balances(w.node.balances)) {
		return fmt.Errorf("balances are %v, the twin's %v", w.node.balances, balances)
	}
	if got, want := w.node.tree.Root(), naive.AccountRoot(balances); got != want {
		return fmt.Errorf("account root is %x, the twin's %x", got, want)
	}
	for _, a := range w.names {
		if got, err := w.node.tree.Get(accounts.KeyOf(a)); got != balances[a] || err != nil {
			return fmt.Errorf("the tree says %q has %d (%v), the twin %d", a, got, err, balances[a])
		}
	}
	tip := w.node.blocks[w.node.tip]
	if got, want := tip.history.Root(), naive.HistoryRoot(branch, w.dumb.Rules); got != want {
		return fmt.Errorf("history root is %x, the twin's %x", got, want)
	}
	if got, want := int(tip.state.Height), len(branch)-1; got != want {
		return fmt.Errorf("height is %d, the twin's %d", got, want)
	}
	return nil
}

// block makes a block that follows branch, more often valid than not.
func (w *walk) block(branch []*types.Block) *types.Block {
	b := &types.Block{}

	w.header(b, branch)
	balances := w.dumb.Balances(branch)
	for range w.rng.IntN(12) {
		t := w.transfer(len(branch), balances)
		moved := maps.Clone(balances)
		bad := w.dumb.CheckTransfer(branch, b.Transfers, &t) != nil || w.dumb.Rules.Move(moved, &t) != nil
		if bad && w.rng.IntN(20) != 0 {
			continue
		}
		b.Transfers = append(b.Transfers, t)
		balances = moved
		if bad {
			break
		}
	}
	b.Reward = types.Reward{
		Height: uint32(len(branch)), Extra: randomBytes(w.rng, w.rng.IntN(5)),
		Amount: w.dumb.RewardFor(len(branch), b.Transfers).Uint64(), Recipient: pick(w.rng, w.names...),
	}
	corruption := w.rng.IntN(100) // the most of these are none
	w.corruptTransactions(b, corruption)
	before := w.dumb.Balances(branch)
	b.Reward.Commitment = naive.Commitment(applyLeniently(before, b.Transfers, &b.Reward), branch, w.dumb.Rules)
	if corruption == 99 {
		b.Reward.Commitment[w.rng.IntN(32)] ^= 1
	}
	mine(b)
	w.corruptMined(b, corruption)
	return b
}

// header fills the header but for the Merkle root and the nonce, and sets the
// clock.
func (w *walk) header(b *types.Block, branch []*types.Block) {
	rng, rules := w.rng, w.node.rules
	parent := &branch[len(branch)-1].Header
	interval := rules.BlockInterval
	spacing := pick(rng, 0, 1, 2, interval/2, interval) // mostly fast, so that targets leave the easiest
	if rng.IntN(6) == 0 {
		spacing = pick(rng, 3*interval, 12*interval, 12*interval+1, 13*interval, 24*interval-1, 24*interval, 49*interval)
	}
	time := parent.Time + spacing
	w.now = int64(time)
	if rng.IntN(20) == 0 {
		w.now -= int64(rules.FutureLimit()) + pick[int64](rng, 0, 1)
	}
	b.Header = types.Header{Version: versionForm, Previous: parent.Hash(), Time: time, Bits: w.dumb.NextBits(branch, int64(time))}
	switch rng.IntN(100) {
	case 0:
		b.Header.Version ^= 1 << rng.IntN(32)
	case 1:
		b.Header.Time = parent.Time - 1
	case 2:
		b.Header.Bits--
	case 3: // one step of relief less, which is valid if there was one
		target, _ := CompactToTarget(b.Header.Bits)
		shiftRight(target[:], 4)
		b.Header.Bits = TargetToCompact(target)
	case 4:
		b.Header.Previous = types.Hash(randomBytes(rng, 32))
	}
}

// transfer makes one whose amounts are mostly such that some limit is just
// reached, or just passed.
func (w *walk) transfer(height int, balances naive.Balances) types.Transfer {
	rng, r := w.rng, w.node.rules
	t := types.Transfer{
		Sender: pick(rng, w.names...), Recipient: pick(rng, w.names...),
		Fee: pick[uint64](rng, 0, 0, 1, 7), Salt: rng.Uint64N(6), Memo: pick(rng, "", "", "memo"),
		Expiry: uint32(height) + rng.Uint32N(r.TxLifetime+1),
	}
	limit, least := -int64(r.CreditLimit), int64(r.MinBalance)
	left := pick(rng, limit-1, limit, -1, 0, 1, least-1, least, least+1)
	total := pick(rng, types.MaxAmount+1, types.MaxAmount, 0, 1, least-1, least)
	switch rng.IntN(8) {
	case 0, 1:
		t.Amount = notNegative(balances[t.Sender] - int64(t.Fee) - left)
	case 2:
		t.Amount = rng.Uint64N(20)
		t.Fee = notNegative(balances[t.Sender] - int64(t.Amount) - left)
	case 3, 4:
		t.Amount = notNegative(total - balances[t.Recipient])
	default:
		t.Amount = rng.Uint64N(60)
	}
	w.strangeTransfer(&t, height)
	if key, ok := w.keys[t.Sender]; ok {
		r.Sign(&t, key)
	}
	if rng.IntN(40) == 0 {
		t.Signature[rng.IntN(64)] ^= 1
	}
	return t
}

func notNegative(n int64) uint64 { return uint64(max(0, n)) }

// strangeTransfer now and then makes t one that a rule about transfers by
// themselves is for.
func (w *walk) strangeTransfer(t *types.Transfer, height int) {
	switch rng := w.rng; rng.IntN(60) {
	case 0:
		t.Expiry = uint32(height - 1)
	case 1:
		t.Expiry = uint32(height) + w.node.rules.TxLifetime + 1
	case 2:
		t.Amount = pick[uint64](rng, types.MaxAmount, types.MaxAmount+1, math.MaxUint64)
	case 3:
		t.Fee = pick[uint64](rng, types.MaxAmount, types.MaxAmount+1, math.MaxUint64)
	case 4:
		t.Recipient = w.strangeAccount()
	case 5:
		t.Sender = w.strangeAccount()
	case 6:
		t.Memo = string(randomBytes(rng, rng.IntN(256)))
	}
}

func (w *walk) strangeAccount() types.Account {
	return pick(w.rng, "", types.System, "00", " a", "a ", "a\x00", "é", "a\u0085b", "\xff", "x y",
		types.Account(make([]byte, 32)), types.Account(make([]byte, 64)), types.Account(make([]byte, 65)),
		types.Account(slices.Repeat([]byte{'z'}, 64)), types.Account(slices.Repeat([]byte{'z'}, 65)), types.Account(randomBytes(w.rng, 32)))
}

func (w *walk) corruptTransactions(b *types.Block, corruption int) {
	n := len(b.Transfers)
	switch {
	case corruption == 89 && n > 0:
		b.Transfers[w.rng.IntN(n)].Signature[w.rng.IntN(64)] ^= 1
	case corruption == 90:
		b.Reward.Amount++
	case corruption == 91:
		b.Reward.Amount--
	case corruption == 92:
		b.Reward.Height += pick[uint32](w.rng, 1, math.MaxUint32)
	case corruption == 93:
		b.Reward.Recipient = w.strangeAccount()
	case corruption == 94 && n > 0:
		b.Transfers = append(b.Transfers, b.Transfers[w.rng.IntN(n)])
	}
}

func (w *walk) corruptMined(b *types.Block, corruption int) {
	n := len(b.Transfers)
	switch {
	case corruption == 95:
		b.Header.Nonce++
	case corruption == 96 && n > 0:
		b.Transfers = append(b.Transfers, b.Transfers[n-1])
	case corruption == 97 && n > 0:
		b.Transfers = b.Transfers[:n-1]
	case corruption == 98 && n > 1:
		b.Transfers[0], b.Transfers[1] = b.Transfers[1], b.Transfers[0]
	}
}
