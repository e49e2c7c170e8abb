package ledger

import (
	"context"
	"fmt"
	"time"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

const authorColumns = `a.id, a.user, a.key, a.name_sealed, a.since, a.revision, a.landed`

func (l *Ledger) scanAuthor(row dbutil.Scannable) (rowID int64, author timeline.Author, err error) {
	var name []byte
	var since int64
	if err := row.Scan(&rowID, &author.User, &author.Key, &name, &since, &author.Revision, &author.Landed); err != nil {
		return 0, timeline.Author{}, err
	}
	author.Since = moment(since)
	if name != nil {
		plain, err := l.store.Unseal(name, authorPlace(author.User))
		if err != nil {
			return 0, timeline.Author{}, fmt.Errorf("read author name: %w", err)
		}
		author.Name = string(plain)
	}
	return rowID, author, nil
}

func authorPlace(user id.UserID) string { return "author " + string(user) }

// author gives the row id of a sender, and makes the row for the first post, which
// was sent at since.
func (r *recorder) author(ctx context.Context, user id.UserID, name string, since time.Time) (int64, error) {
	if rowID, ok := r.authors[user]; ok {
		return rowID, nil
	}
	var rowID int64
	err := r.each(ctx, func(row dbutil.Scannable) error { return row.Scan(&rowID) }, "SELECT id FROM ledger_author WHERE user = ?", user)
	if err != nil {
		return 0, fmt.Errorf("look up author: %w", err)
	}
	if rowID == 0 {
		key, err := r.key(ctx, "ledger_author", string(user))
		if err != nil {
			return 0, err
		}
		var sealed []byte
		if name != "" {
			if sealed, err = r.store.Seal([]byte(name), authorPlace(user)); err != nil {
				return 0, err
			}
		}
		result, err := r.run(ctx, "INSERT INTO ledger_author (user, folded, key, name_sealed, since) VALUES (?,?,?,?,?)",
			user, fold(string(user)), key, sealed, millis(since))
		if err != nil {
			return 0, fmt.Errorf("insert author: %w", err)
		}
		if rowID, err = result.LastInsertId(); err != nil {
			return 0, err
		}
	}
	r.authors[user] = rowID
	return rowID, nil
}
