"""Archives whose readers disagree: made by hand from inert payloads. Usage: make_archives.py FOLDER"""
import bz2
import gzip
import io
import lzma
import os
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib

tarfile.RECORDSIZE = 512

OUT = sys.argv[1]
os.makedirs(OUT, exist_ok=True)
# posix.system("echo gauntlet-canary"), never run by anything here
EVIL = b"cposix\nsystem\n(S'echo gauntlet-canary'\ntR."
def w(name, data):
    with open(os.path.join(OUT, name), 'wb') as f: f.write(data)
def z(*members, comment=b'', method=0):
    b = io.BytesIO()
    with zipfile.ZipFile(b, 'w', method) as f:
        for n, d in members: f.writestr(zipfile.ZipInfo(n), d)
        f.comment = comment
    return b.getvalue()
def patch(data, old, new, where='all'):
    assert old in data and len(old) == len(new)
    if where == 'first': i = data.find(old); return data[:i] + new + data[i+len(old):]
    if where == 'last': i = data.rfind(old); return data[:i] + new + data[i+len(old):]
    return data.replace(old, new)
def gap(data, payload):
    cd = data.find(b'PK\1\2'); e = bytearray(data[cd:]); end = e.rfind(b'PK\5\6')
    struct.pack_into('<I', e, end+16, cd+len(payload))
    return data[:cd] + payload + bytes(e)

base = z(('archive/data.txt', b'hello'))
w('zip-gap.zip', gap(base, EVIL))
w('zip-comment.zip', z(('a.txt', b'x'), comment=EVIL))
w('zip-self-extracting.bin', b'MZ' + b'\0' * 200 + z(('data.pkl', EVIL)))
w('zip-backslash.pt', z(('archive\\data.pkl', EVIL), ('archive/data.pkl', b'N.')))
w('zip-nul.zip', patch(z(('a.pklX.txt', EVIL)), b'a.pklX.txt', b'a.pkl\0.txt'))
w('zip-local-name.zip', patch(z(('data.pkl', EVIL)), b'data.pkl', b'data.txt', 'last'))
def z_info(zi, d):
    b = io.BytesIO()
    with zipfile.ZipFile(b, 'w') as f: f.writestr(zi, d)
    return b.getvalue()
zi = zipfile.ZipInfo('readme.t')
zi.extra = struct.pack('<HHBI', 0x7075, 13, 1, zlib.crc32(b'readme.t')) + b'data.pkl'
w('zip-unicode-path.zip', z_info(zi, EVIL))
def link(name, target, extra=()):
    b = io.BytesIO()
    with zipfile.ZipFile(b, 'w') as f:
        zi = zipfile.ZipInfo(name); zi.create_system = 3; zi.external_attr = 0o120777 << 16
        f.writestr(zi, target)
        for n, d in extra: f.writestr(zipfile.ZipInfo(n), d)
    return b.getvalue()
w('zip-link-outside.zip', link('ln', '/etc/passwd'))
w('zip-through-link.zip', link('ln', 'sub', [('ln/x.txt', b'x')]))
w('zip-drive.zip', z(('C:/x.txt', b'x')))
def z_raw(name, method, body, size, crc):
    n = name.encode()
    head = struct.pack('<HHHHIIIHH', 0, method, 0, 0x21, crc, len(body), size, len(n), 0)
    local = struct.pack('<4sH', b'PK\3\4', 20) + head + n + body
    central = struct.pack('<4sHH', b'PK\1\2', 20, 20) + head + struct.pack('<HHHII', 0, 0, 0, 0, 0) + n
    return local + central + struct.pack('<4sHHHHIIH', b'PK\5\6', 0, 0, 1, 1, len(central), len(local), 0)
c = zlib.compressobj(9, 8, -15)
w('zip-slack.zip', z_raw('a.txt', 8, c.compress(b'hello') + c.flush() + EVIL, 5, zlib.crc32(b'hello')))
w('zip-lzma-member.npz', z(('x.pkl', EVIL), method=14))
w('zip-bzip2-member.zip', z(('x.pkl', EVIL), method=12))
two = z(('a.txt', b'A' * 50), ('b.pkl', EVIL))
o = bytearray(two); i = o.rfind(b'PK\1\2'); struct.pack_into('<I', o, i + 42, 0); w('zip-overlap.zip', bytes(o))
f = bytearray(z(('data.pkl', EVIL))); f[6] |= 1; w('CVE-2025-1945-flag.pt', bytes(f))
f = bytearray(z(('data.pkl', EVIL))); f[14:18] = b'\1\2\3\4'; j = f.find(b'PK\1\2'); f[j+16:j+20] = b'\1\2\3\4'; w('CVE-2025-10156-crc.pt', bytes(f))
w('CVE-2025-1944-name.pt', patch(z(('archive/data.pkl', EVIL)), b'archive/data.pkl', b'archive/dataXpkl', 'last'))
w('CVE-2025-1889-extension.pt', z(('archive/data.pkl', b'N.'), ('archive/config.p', EVIL)))
w('CVE-2025-10155-extension.bin', EVIL)
w('CVE-2007-4559-absolute.zip', z(('/tmp/x', b'x')))

# tar
def t(*items, fmt=tarfile.GNU_FORMAT):
    b = io.BytesIO()
    with tarfile.open(fileobj=b, mode='w', format=fmt) as f:
        for ti, d in items: f.addfile(ti, io.BytesIO(d) if d else None)
    return b.getvalue()
def info(name, size=0, **kw):
    ti = tarfile.TarInfo(name); ti.size = size
    for k, v in kw.items(): setattr(ti, k, v)
    return ti
w('CVE-2007-4559-parent.tar', t((info('../../tmp/x', 1), b'x')))
w('tar-behind-end.tar', t((info('a.txt', 1), b'x')) + EVIL)
hidden = t((info('evil.pkl', len(EVIL)), EVIL))[:1024]
pax = info('readme.txt', 0); pax.pax_headers = {'size': '1024'}
w('tar-pax-size.tar', t((pax, b''), fmt=tarfile.PAX_FORMAT)[:1536] + hidden + bytes(1024))
ln = info('ln', 0, type=tarfile.SYMTYPE, linkname='target')
raw = bytearray(t((ln, b''))[:512]); raw[124:135] = b'00000002000'; raw[148:156] = b' ' * 8; raw[148:156] = b'%06o\0 ' % sum(raw)
w('tar-size-of-link.tar', bytes(raw) + hidden + bytes(1024))
w('tar-device.tar', t((info('dev', type=tarfile.CHRTYPE, devmajor=1, devminor=3), b'')))
w('tar-two.tar', t((info('a.txt', 1), b'x')) + t((info('evil.pkl', len(EVIL)), EVIL)))
w('tar-unknown-type.tar', t((info('evil.pkl', len(EVIL), type=b'9'), EVIL)))

# streams
w('gzip-two-members.gz', gzip.compress(b'N.', mtime=0) + gzip.compress(EVIL, mtime=0))
w('gzip-behind.gz', gzip.compress(b'harmless', mtime=0) + EVIL)
g = bytearray(gzip.compress(b'harmless', mtime=0)); g[3] |= 8
w('gzip-name.gz', bytes(g[:10]) + b'../../x\0' + bytes(g[10:]))
g = bytearray(gzip.compress(b'harmless', mtime=0)); g[3] |= 16
w('gzip-comment.gz', bytes(g[:10]) + EVIL + b'\0' + bytes(g[10:]))
w('xz-behind.xz', lzma.compress(b'harmless') + EVIL)
w('bz2-behind.bz2', bz2.compress(b'harmless') + EVIL)
def run(cmd, data): return subprocess.run(cmd, input=data, stdout=subprocess.PIPE, check=True).stdout
w('zstd.pkl.zst', run(['zstd', '-q', '-c'], EVIL))
w('zstd-second-frame.zst', run(['zstd', '-q', '-c'], b'N.') + run(['zstd', '-q', '-c'], EVIL))
w('zstd-skippable.zst', struct.pack('<II', 0x184D2A50, len(EVIL)) + EVIL + run(['zstd', '-q', '-c'], b'harmless'))
w('lz4-legacy.pkl.lz4', run(['lz4', '-q', '-l', '-c'], EVIL))

# 7z
d = tempfile.mkdtemp()
open(d + '/data.pkl', 'wb').write(EVIL); os.symlink('../../../etc/passwd', d + '/ln')
os.utime(d + '/data.pkl', (0, 0))
def seven(name, *args, files=('data.pkl',)):
    p = os.path.abspath(os.path.join(OUT, name))
    if os.path.exists(p): os.remove(p)
    subprocess.run(['7z', 'a', '-bd', '-t7z', *args, p, *files], cwd=d, check=True, stdout=subprocess.DEVNULL)
seven('nullifAI.pt'); seven('7z-ppmd.7z', '-m0=ppmd'); seven('7z-link.7z', '-snl', files=('ln',))
seven('7z-encrypted.7z', '-psecret'); seven('7z-encrypted-names.7z', '-psecret', '-mhe=on')
b = open(OUT + '/7z-ppmd.7z', 'rb').read()
seven('7z-copy.7z', '-mx0')
c = bytearray(open(OUT + '/7z-copy.7z', 'rb').read()); i = c.find(b'canary'); c[i] ^= 1; w('7z-wrong-checksum.7z', bytes(c)); os.remove(OUT + '/7z-copy.7z')
w('7z-self-extracting.exe', b'MZ' + b'\0' * 58 + struct.pack('<I', 64) + b'PE\0\0' + b'\0' * 60 + b)
w('7z-behind.7z', b + EVIL)
open(d + '/ab_x.txt', 'wb').write(b'x')
seven('7z-parent.7z', '-mx0', '-mhc=off', files=('ab_x.txt',))
c = bytearray(patch(open(OUT + '/7z-parent.7z', 'rb').read(), 'ab_x.txt'.encode('utf-16-le'), '../x.txt'.encode('utf-16-le')))
at, size = struct.unpack('<QQ', c[12:28])
c[28:32] = struct.pack('<I', zlib.crc32(c[32 + at:32 + at + size])); c[8:12] = struct.pack('<I', zlib.crc32(c[12:32]))
w('7z-parent.7z', bytes(c))
# recognised only
w('rar4.rar', b'Rar!\x1a\x07\x00' + b'\0' * 40); w('rar5.rar', b'Rar!\x1a\x07\x01\x00' + b'\0' * 40)
w('rar-self-extracting.exe', b'MZ' + b'\0' * 58 + struct.pack('<I', 64) + b'PE\0\0' + b'\0' * 60 + b'Rar!\x1a\x07\x01\x00' + b'\0' * 40)
shutil.rmtree(d)
