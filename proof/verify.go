package proof

import (
	"fmt"

	"cairn/accounts"
	"cairn/consensus"
	"cairn/types"
)

// Verify returns what the document shows, or the error that says what in it does
// not hold. trusted is the network that it must be for, else ErrNetwork; when it
// is nil, the genesis file of the document is taken, and the ChainID of the Result
// is to be compared with one from elsewhere. now is the time in Unix seconds:
// headers far ahead of it are ErrHeaders, with consensus.ErrTooNew.
func (d *Document) Verify(trusted *consensus.Rules, now uint64) (Result, error) {
	rules := d.Rules
	if trusted != nil {
		if d.Rules.ChainID() != trusted.ChainID() {
			return Result{}, fmt.Errorf("%w: it is for %s, whose chain ID is %v, not for %s, %v",
				ErrNetwork, d.Rules.Name, d.Rules.ChainID(), trusted.Name, trusted.ChainID())
		}
		rules = trusted
	}
	v := verifier{Document: d, rules: rules}
	if err := v.checkHeaders(now); err != nil {
		return Result{}, err
	}
	for _, check := range []func() error{v.checkCommitments, v.checkStart, v.checkBlock, v.checkTransaction, v.checkAccount} {
		if err := check(); err != nil {
			return Result{}, err
		}
	}
	return v.result, nil
}

// verifier is a document of which part after part is found to hold.
type verifier struct {
	*Document
	rules  *consensus.Rules
	first  uint32            // height of the first header
	states []consensus.State // after each header
	result Result
}

// checkHeaders follows the headers from genesis, or from what the start claims.
func (v *verifier) checkHeaders(now uint64) error {
	parent := v.rules.GenesisState()
	if v.Start != nil {
		var err error
		if parent, err = v.startState(); err != nil {
			return err
		}
	}
	v.first = parent.Height + 1 // a header at the last height has no valid child
	v.states = make([]consensus.State, 0, len(v.Headers))
	for i, h := range v.Headers {
		state, err := v.rules.ValidateHeader(parent, h, now)
		if err != nil {
			return fmt.Errorf("%w: header %d, after height %d: %w", ErrHeaders, i, parent.Height, err)
		}
		v.states = append(v.states, state)
		parent = state
	}
	if len(v.states) == 0 {
		return fmt.Errorf("%w: there are none", ErrHeaders)
	}
	v.result.Name, v.result.ChainID = v.rules.Name, v.rules.ChainID()
	v.result.FromGenesis, v.result.Tip = v.Start == nil, parent
	return nil
}

// startState returns the state that the rules of a header need of the parent. No
// network has a block whose base is outside these bounds, or that is older than
// genesis, so none is taken on anyone's word.
func (v *verifier) startState() (consensus.State, error) {
	l := v.Start.Leaf
	base, err := consensus.CompactToTarget(l.NextBase)
	if err != nil {
		return consensus.State{}, fmt.Errorf("%w: base of the start: %w", ErrHeaders, err)
	}
	easiest, err := consensus.CompactToTarget(v.rules.Bits)
	switch {
	case err != nil:
		return consensus.State{}, fmt.Errorf("%w: easiest target: %w", ErrHeaders, err)
	case l.Height == 0:
		return consensus.State{}, fmt.Errorf("%w: the start is at height 0; headers from 1 on need none", ErrHeaders)
	case l.Time < v.rules.Time:
		return consensus.State{}, fmt.Errorf("%w: the start has time %d, genesis %d", ErrHeaders, l.Time, v.rules.Time)
	case consensus.Work(base).Cmp(consensus.Work(easiest)) > 0: // both are but integers of 256 bits
		return consensus.State{}, fmt.Errorf("%w: the start has base %08x, the easiest is %08x", ErrHeaders, l.NextBase, v.rules.Bits)
	case v.rules.HalfLife == 0 && l.NextBase != v.rules.Bits:
		return consensus.State{}, fmt.Errorf("%w: the start has base %08x; it is %08x for ever", ErrHeaders, l.NextBase, v.rules.Bits)
	}
	return consensus.State{
		Hash:   l.Hash,
		Height: l.Height,
		Time:   l.Time,
		Base:   l.NextBase,
		Work:   consensus.WorkFromLittleEndian(l.Work),
	}, nil
}

// checkCommitments shows each reward to be in its header, and the roots in it.
func (v *verifier) checkCommitments() error {
	if len(v.Commitments) > MaxCommitments {
		return fmt.Errorf("%w: there are %d, the most is %d", ErrCommitment, len(v.Commitments), MaxCommitments)
	}
	for i := range v.Commitments {
		c := &v.Commitments[i]
		if i > 0 && c.Height <= v.Commitments[i-1].Height {
			return fmt.Errorf("%w: height %d comes after %d", ErrCommitment, c.Height, v.Commitments[i-1].Height)
		}
		if err := v.checkCommitment(c); err != nil {
			return fmt.Errorf("%w: at height %d: %w", ErrCommitment, c.Height, err)
		}
	}
	return nil
}

func (v *verifier) checkCommitment(c *Commitment) error {
	header, ok := v.header(c.Height)
	if !ok {
		return fmt.Errorf("headers are from %d to %d", v.first, v.result.Tip.Height)
	}
	if c.Reward.Height != c.Height {
		return fmt.Errorf("%w: %d", consensus.ErrRewardHeight, c.Reward.Height)
	}
	if err := checkBranch(header, c.Reward.ID(), 0, c.Branch); err != nil {
		return err
	}
	if want := consensus.Commitment(c.AccountRoot, c.HistoryRoot); c.Reward.Commitment != want {
		return fmt.Errorf("%w: %x, not %x (accounts %x, history %x)",
			consensus.ErrCommitment, c.Reward.Commitment, want, c.AccountRoot, c.HistoryRoot)
	}
	return nil
}

// checkStart shows the parent of the first header, and genesis, to be in the
// history that the first header's block commits to.
func (v *verifier) checkStart() error {
	if v.Start == nil {
		return nil
	}
	c := v.commitment(v.first)
	if c == nil {
		return fmt.Errorf("%w: there is none for height %d, which the start needs", ErrCommitment, v.first)
	}
	parent := v.Start.Leaf
	if err := v.Start.Proof.Verify(c.HistoryRoot, v.first, parent.Height, parent.Sum()); err != nil {
		return fmt.Errorf("%w: parent at height %d: %w", ErrHeaders, parent.Height, err)
	}
	genesis := v.rules.GenesisState().HistoryLeaf()
	if err := v.Start.Genesis.Verify(c.HistoryRoot, v.first, 0, genesis.Sum()); err != nil {
		return fmt.Errorf("%w: genesis %v: %w", ErrHeaders, genesis.Hash, err)
	}
	return nil
}

// checkBlock shows the earlier block to be in the history of a commitment. That of
// the genesis block would show nothing that the rules do not say.
func (v *verifier) checkBlock() error {
	b := v.Block
	if b == nil {
		return nil
	}
	hash := b.Header.Hash()
	switch {
	case b.Leaf.Height == 0 || b.Leaf.Height >= v.first:
		return fmt.Errorf("%w: it is at height %d, which is not between genesis and the first header at %d",
			ErrBlock, b.Leaf.Height, v.first)
	case hash != b.Leaf.Hash || b.Header.Time != b.Leaf.Time:
		return fmt.Errorf("%w: the header is of %v at time %d, the leaf of %v at %d",
			ErrBlock, hash, b.Header.Time, b.Leaf.Hash, b.Leaf.Time)
	}
	c := v.commitment(b.Proof.Len)
	if c == nil {
		return fmt.Errorf("%w: it is shown among %d blocks, but there is no commitment for that height", ErrBlock, b.Proof.Len)
	}
	if err := b.Proof.Verify(c.HistoryRoot, c.Height, b.Leaf.Height, b.Leaf.Sum()); err != nil {
		return fmt.Errorf("%w: at height %d: %w", ErrBlock, b.Leaf.Height, err)
	}
	v.result.Place = Place{
		BlockHash:     hash,
		Height:        b.Leaf.Height,
		BlockTime:     b.Header.Time,
		Confirmations: v.result.Tip.Height - b.Leaf.Height + 1,
		WorkOnTop:     v.workFrom(c.Height),
	}
	return nil
}

// checkTransaction shows the transaction to be in its block, and to be one.
func (v *verifier) checkTransaction() error {
	t := v.Transaction
	if t == nil {
		return nil
	}
	header, ok := v.header(t.Height)
	switch {
	case ok:
		v.result.Place = v.place(t.Height)
	case v.Block != nil && v.Block.Leaf.Height == t.Height: // whose place is in the result
		header = &v.Block.Header
	default:
		return fmt.Errorf("%w: nothing is shown of a block at height %d", ErrTransaction, t.Height)
	}
	v.result.TransferID = types.Sum(t.Encoding)
	if err := checkBranch(header, v.result.TransferID, t.Position, t.Branch); err != nil {
		return fmt.Errorf("%w: %d at height %d: %w", ErrTransaction, t.Position, t.Height, err)
	}
	check := v.checkTransfer
	if t.Position == 0 {
		check = v.checkReward
	}
	if err := check(t); err != nil {
		return fmt.Errorf("%w: %d at height %d: %w", ErrTransaction, t.Position, t.Height, err)
	}
	return nil
}

// checkTransfer decodes a transfer, which makes it longer than the 64 bytes of an
// inner node, and checks all rules of it that need no balances and no other block.
func (v *verifier) checkTransfer(t *Transaction) error {
	transfer, err := types.DecodeTransfer(t.Encoding)
	if err != nil {
		return err
	}
	if err := v.rules.CheckTransfer(&transfer, t.Height); err != nil {
		return err
	}
	if err := v.rules.VerifySignatures([]types.Transfer{transfer}, nil); err != nil {
		return err
	}
	v.result.Transfer = &transfer
	return nil
}

// checkReward decodes a reward, which is longer than 64 bytes as well. Its amount
// depends on fees that are not shown.
func (v *verifier) checkReward(t *Transaction) error {
	reward, err := types.DecodeReward(t.Encoding)
	if err != nil {
		return err
	}
	if reward.Height != t.Height {
		return fmt.Errorf("%w: %d", consensus.ErrRewardHeight, reward.Height)
	}
	if err := v.rules.CheckAccount(reward.Recipient); err != nil {
		return fmt.Errorf("%w: %w", consensus.ErrRewardRecipient, err)
	}
	v.result.Reward = &reward
	return nil
}

// checkAccount shows the balance under the account root of a commitment.
func (v *verifier) checkAccount() error {
	a := v.Account
	if a == nil {
		return nil
	}
	if err := v.rules.CheckAccount(a.Account); err != nil {
		return fmt.Errorf("%w: %w", ErrAccount, err)
	}
	c := v.commitment(a.Height)
	if c == nil {
		return fmt.Errorf("%w: there is no commitment for height %d", ErrAccount, a.Height)
	}
	if err := a.Proof.Verify(c.AccountRoot, accounts.KeyOf(a.Account), a.Balance); err != nil {
		return fmt.Errorf("%w: %s at height %d: %w", ErrAccount, v.rules.FormatAccount(a.Account), a.Height, err)
	}
	v.result.Account, v.result.Balance, v.result.BalanceAt = a.Account, a.Balance, v.place(a.Height)
	return nil
}

// checkBranch returns types.ErrBranch or consensus.ErrMerkleRoot unless the
// transaction is at a position in the header's block.
func checkBranch(h *types.Header, id types.Hash, position uint32, branch []types.Hash) error {
	root, err := types.RootOfBranch(id, int(position), branch)
	if err != nil {
		return err
	}
	if root != h.MerkleRoot {
		return fmt.Errorf("%w: the header has %v, the branch from %v leads to %v", consensus.ErrMerkleRoot, h.MerkleRoot, id, root)
	}
	return nil
}

// header returns the header at a height; false when it is not in the document.
func (v *verifier) header(height uint32) (*types.Header, bool) {
	if height < v.first || height > v.result.Tip.Height {
		return nil, false
	}
	return &v.Headers[height-v.first], true
}

// commitment returns the one at a height, nil when there is none.
func (v *verifier) commitment(height uint32) *Commitment {
	for i := range v.Commitments {
		if v.Commitments[i].Height == height {
			return &v.Commitments[i]
		}
	}
	return nil
}

// place returns the place of the block of a header.
func (v *verifier) place(height uint32) Place {
	state := v.states[height-v.first]
	return Place{
		BlockHash:     state.Hash,
		Height:        height,
		BlockTime:     state.Time,
		Confirmations: v.result.Tip.Height - height + 1,
		WorkOnTop:     v.workFrom(height),
	}
}

// workFrom returns the work of the headers from a height on. It is summed up,
// since a difference of cumulative work would rest on what the start claims.
func (v *verifier) workFrom(height uint32) (work consensus.Work) {
	for _, h := range v.Headers[height-v.first:] {
		work = work.Add(consensus.WorkOf(h.Bits))
	}
	return work
}
