#!/bin/sh
# The demo's SFTP server, of an ordinary user: its keys are made once, in the demo's volume.
set -eu
folder=/srv/alma-restore/demo/sftp
mkdir -p "$folder/uploads"
chmod 700 "$folder"
for key in host client; do
    [ -s "$folder/$key" ] || ssh-keygen -q -t ed25519 -N '' -f "$folder/$key"
done
cp "$folder/client.pub" "$folder/authorized_keys"
cat >"$folder/sshd_config" <<CONFIG
Port 2222
HostKey $folder/host
AuthorizedKeysFile $folder/authorized_keys
PidFile none
PasswordAuthentication no
KbdInteractiveAuthentication no
StrictModes no
UsePAM no
Subsystem sftp internal-sftp -d $folder/uploads
ForceCommand internal-sftp -d $folder/uploads
CONFIG
exec /usr/sbin/sshd -D -e -f "$folder/sshd_config"
