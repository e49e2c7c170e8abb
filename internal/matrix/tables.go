package matrix

import (
	"embed"

	"go.mau.fi/util/dbutil"
)

//go:embed *.sql
var sqlFiles embed.FS

// upgrades are the versions of the account's own tables; each file names the
// version it leads to.
var upgrades = func() dbutil.UpgradeTable {
	t := dbutil.BuildUpgradeTable()
	return t.WithFS(sqlFiles).Finish()
}()
