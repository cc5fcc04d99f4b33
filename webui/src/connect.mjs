// SPDX-License-Identifier: BSD-2-Clause
// Lines to paste on the computer that connects.
import { t } from './i18n.mjs';
import { Copy, html, useState } from './ui.mjs';

const split = (address, port) => ({ host: address.includes(':') ? `[${address}]` : address, address, port });

export const lines = {
	linux: ({ host, address, port }, iqn, chap) => `iscsiadm -m discovery -t sendtargets -p ${host}:${port}
${chap ? `iscsiadm -m node -T ${iqn} -p ${host}:${port} -o update \\
  -n node.session.auth.authmethod -v CHAP \\
  -n node.session.auth.username -v '${chap.user}' \\
  -n node.session.auth.password -v '${chap.secret}'
` : ''}iscsiadm -m node -T ${iqn} -p ${host}:${port} --login
iscsiadm -m node -T ${iqn} -p ${host}:${port} -o update -n node.startup -v automatic
lsblk -S`,
	windows: ({ address, port }, iqn, chap) => `Set-Service MSiSCSI -StartupType Automatic; Start-Service MSiSCSI
New-IscsiTargetPortal -TargetPortalAddress ${address} -TargetPortalPortNumber ${port}
Connect-IscsiTarget -NodeAddress ${iqn} -IsPersistent $true${chap ? ` \`
  -AuthenticationType ONEWAYCHAP -ChapUsername '${chap.user}' -ChapSecret '${chap.secret}'` : ''}
Get-IscsiSession | Get-Disk`,
	vmware: ({ host, port }, iqn, chap) => `esxcli iscsi software set --enabled=true
HBA=$(esxcli iscsi adapter list | awk '/iscsi_vmk/ {print $1}')
${chap ? `esxcli iscsi adapter auth chap set -A $HBA -d uni -l required -N '${chap.user}' -S '${chap.secret}'
` : ''}esxcli iscsi adapter discovery sendtarget add -A $HBA -a ${host}:${port}
esxcli storage core adapter rescan -A $HBA`,
};

// Where this page came from is an address that reaches the box.
export function portalOf(portals) {
	const open = (portals ?? []).filter((p) => p.open);
	const any = open.find((p) => p.address === '' || p.address === '0.0.0.0' || p.address === '::');
	const first = any ?? open[0];
	return split(!first || any ? location.hostname.replace(/^\[|\]$/g, '') : first.address, first?.port ?? 3260);
}

export function Connect({ portals, iqn, chap, preset }) {
	const [os, setOs] = useState(preset || 'linux');
	const names = [['linux', 'Linux'], ['windows', 'Windows'], ['vmware', 'VMware ESXi']];
	return html`<div class="buttons" role="group" aria-label=${t('Operating system')}>${names.map(([id, name]) => html`
		<button class=${os === id ? 'main' : ''} aria-pressed=${os === id} onClick=${() => setOs(id)}>${name}</button>`)}</div>
		<${Copy} label=${{ linux: t('As root in a shell'), windows: t('In PowerShell as administrator'), vmware: t('In the ESXi shell') }[os]} text=${lines[os](portalOf(portals), iqn, chap)} />`;
}
