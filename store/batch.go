package store

import (
	"github.com/cockroachdb/pebble/v2"

	"cairn/accounts"
	"cairn/consensus"
	"cairn/history"
	"cairn/types"
)

// Batch collects changes that become visible and durable together or not at
// all. It is for one goroutine, but several may commit theirs at once and then
// share the wait for the disk. Later changes of a record replace earlier ones.
type Batch struct {
	store   *Store
	changes *changes      // nil after Close
	batch   *pebble.Batch // nil before Commit
	lost    bool          // Pebble may hold the batch for ever
	key     [keyRoom]byte
}

// NewBatch returns an empty batch, to be closed after use.
func (s *Store) NewBatch() *Batch {
	return &Batch{store: s, changes: takeChanges()}
}

// Commit makes the batch visible, and durable: it returns after the disk has it.
// Readers may see it a moment earlier. It is called once. After an error,
// ErrFailed, the next Open may find the batch or not, and every later Commit
// fails.
func (b *Batch) Commit() error {
	const header, lengths = 12, 1 + 3 + 5 // Pebble's, at most, of a batch and of each change
	b.batch = b.store.db.NewBatchWithSize(header + len(b.changes.bytes) + lengths*len(b.changes.list))
	// Pebble documents that these cannot fail on a batch without an index.
	for change, key := range b.changes.sorted() {
		if change.deletes {
			_ = b.batch.Delete(key, nil)
		} else {
			_ = b.batch.Set(key, b.changes.valueOf(change), nil)
		}
	}
	err := b.store.failure.run(func() error { return b.batch.Commit(pebble.Sync) })
	b.lost = b.store.failure.err() != nil
	return err
}

// Close releases the batch, committed or not. Closing it again does nothing:
// Pebble would by then have given the same memory to another batch.
func (b *Batch) Close() {
	if b.changes != nil {
		b.changes.give()
		b.changes = nil
	}
	if !b.lost && b.batch != nil {
		_ = b.batch.Close()
		b.batch = nil
	}
}

// Len returns the size of the batch in bytes, where a record that is changed
// twice counts twice.
func (b *Batch) Len() int { return len(b.changes.bytes) }

// Mark is a place in a batch, to roll back to.
type Mark struct{ bytes, list int }

// Mark returns the present end of the batch.
func (b *Batch) Mark() Mark { return Mark{len(b.changes.bytes), len(b.changes.list)} }

// Rollback forgets every change since m.
func (b *Batch) Rollback(m Mark) {
	b.changes.bytes, b.changes.list = b.changes.bytes[:m.bytes], b.changes.list[:m.list]
}

// PutState stores a block's consensus state and what is known of it.
func (b *Batch) PutState(s consensus.State, status Status) {
	b.changes.value = appendState(b.changes.value[:0], s, status)
	b.set(stateKey(b.key[:0], s.Hash), b.changes.value)
}

// PutBlock stores a block's encoding, and the header in front of it once more.
func (b *Batch) PutBlock(height uint32, hash types.Hash, encoding []byte) {
	b.set(blockKey(b.key[:0], PrefixBlock, height, hash), encoding)
	b.set(blockKey(b.key[:0], PrefixHeader, height, hash), encoding[:min(len(encoding), types.HeaderSize)])
}

// PutUndo stores what takes a block back.
func (b *Batch) PutUndo(height uint32, hash types.Hash, u Undo) {
	b.changes.value = appendUndo(b.changes.value[:0], u)
	b.set(blockKey(b.key[:0], PrefixUndo, height, hash), b.changes.value)
}

// PutBest makes hash the best chain's block at height.
func (b *Batch) PutBest(height uint32, hash types.Hash) {
	b.set(bestKey(b.key[:0], height), hash[:])
}

// DeleteBest makes the best chain end below height.
func (b *Batch) DeleteBest(height uint32) { b.delete(bestKey(b.key[:0], height)) }

// PutRoot stores the root of the balances after the best chain's block at a height.
func (b *Batch) PutRoot(height uint32, root [32]byte) { b.set(rootKey(b.key[:0], height), root[:]) }

// DeleteRoot forgets the root of the balances after a block.
func (b *Batch) DeleteRoot(height uint32) { b.delete(rootKey(b.key[:0], height)) }

// PutTip records the best chain's last block.
func (b *Batch) PutTip(hash types.Hash) { b.set([]byte(tipKey), hash[:]) }

// PutGoal records the blocks on the way to a tip, for a reorganisation that takes
// several commits.
func (b *Batch) PutGoal(hashes []types.Hash) {
	b.changes.value = appendHashes(b.changes.value[:0], hashes)
	b.set([]byte(goalKey), b.changes.value)
}

// ClearGoal forgets the goal: it was reached.
func (b *Batch) ClearGoal() { b.delete([]byte(goalKey)) }

// PutAccount stores a balance in base units; a balance of 0 deletes the account.
func (b *Batch) PutAccount(p consensus.Party, balance int64) {
	key := accountKey(b.key[:0], p.Key)
	if balance == 0 {
		b.delete(key)
		return
	}
	b.changes.value = appendAccount(b.changes.value[:0], balance, p.Account)
	b.set(key, b.changes.value)
}

// PutSalt stores where the transfer with this sender and salt is.
func (b *Batch) PutSalt(sender types.Account, salt uint64, loc Loc) {
	b.changes.value = appendLoc(b.changes.value[:0], loc)
	b.set(saltKey(b.key[:0], sender, salt), b.changes.value)
}

// DeleteSalt forgets a sender and salt.
func (b *Batch) DeleteSalt(sender types.Account, salt uint64) {
	b.delete(saltKey(b.key[:0], sender, salt))
}

// PutTransfer stores where a transfer is.
func (b *Batch) PutTransfer(id types.Hash, t TransferRecord) {
	b.changes.value = appendTransferRecord(b.changes.value[:0], t)
	b.set(transferKey(b.key[:0], id), b.changes.value)
}

// DeleteTransfer forgets where a transfer was.
func (b *Batch) DeleteTransfer(id types.Hash) { b.delete(transferKey(b.key[:0], id)) }

// PutMention stores where in the best chain's block at a height an account is named.
func (b *Batch) PutMention(key accounts.Key, height uint32, positions []uint32) {
	b.changes.value = appendPositions(b.changes.value[:0], positions)
	b.set(mentionKey(b.key[:0], key, height), b.changes.value)
}

// DeleteMention forgets where in a block an account was named.
func (b *Batch) DeleteMention(key accounts.Key, height uint32) {
	b.delete(mentionKey(b.key[:0], key, height))
}

// DeleteUndo forgets what takes a block back.
func (b *Batch) DeleteUndo(height uint32, hash types.Hash) {
	b.delete(blockKey(b.key[:0], PrefixUndo, height, hash))
}

// PutHistoryNode stores a node of the best chain's history.
func (b *Batch) PutHistoryNode(n history.Node) {
	b.set(historyKey(b.key[:0], n.Level, n.Index), n.Sum[:])
}

// DeleteHistoryNode forgets a node of the history.
func (b *Batch) DeleteHistoryNode(level uint8, index uint32) {
	b.delete(historyKey(b.key[:0], level, index))
}

// PutPending stores a transfer that waits to be mined. seq is its place in the
// order of arrival, answered the block index of the first answer.
func (b *Batch) PutPending(seq uint64, answered uint32, t *types.Transfer) {
	b.changes.value = appendPending(b.changes.value[:0], answered, t)
	b.set(pendingKey(b.key[:0], seq), b.changes.value)
}

// DeletePending forgets a transfer that waited.
func (b *Batch) DeletePending(seq uint64) { b.delete(pendingKey(b.key[:0], seq)) }

// PutNeighbour registers a neighbour's URL.
func (b *Batch) PutNeighbour(url string) { b.set(neighbourKey(nil, url), nil) }

// DeleteNeighbour forgets a neighbour.
func (b *Batch) DeleteNeighbour(url string) { b.delete(neighbourKey(nil, url)) }

// PutToken stores an API token.
func (b *Batch) PutToken(t Token) {
	b.changes.value = appendToken(b.changes.value[:0], t)
	b.set(tokenKey(nil, t.Name), b.changes.value)
}

// PutPeer stores what is remembered of a peer.
func (b *Batch) PutPeer(p PeerRecord) {
	b.changes.value = appendPeer(b.changes.value[:0], p)
	b.set(peerKey(nil, p.ID), b.changes.value)
}

// DeletePeer forgets a peer.
func (b *Batch) DeletePeer(id string) { b.delete(peerKey(nil, id)) }

// PutPeerSeed stores the seed of this node's key among peers.
func (b *Batch) PutPeerSeed(seed [32]byte) { b.set([]byte(peerSeed), seed[:]) }

// DeleteToken forgets an API token.
func (b *Batch) DeleteToken(name string) { b.delete(tokenKey(nil, name)) }

// set and delete copy what they are given.
func (b *Batch) set(key, value []byte) { b.changes.add(key, value, false) }

func (b *Batch) delete(key []byte) { b.changes.add(key, nil, true) }
