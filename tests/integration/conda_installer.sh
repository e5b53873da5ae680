#!/bin/sh
# Stands in for the installer of miniforge where conda's channels are out of reach: `sh installer -b -p PREFIX` makes a
# prefix with the distribution's own Python, set up as conda's is, with pip, conda's records, and a `conda` that has the
# two commands which Dockerfile.base uses.
set -eu
[ "$1 $2" = "-b -p" ]
prefix=$3
version=$(python3 -c 'import platform; print(platform.python_version())')
minor=${version%.*}

mkdir -p "$prefix/bin" "$prefix/conda-meta" "$prefix/lib"
cp "/usr/bin/python$minor" "$prefix/bin/"
ln -s "python$minor" "$prefix/bin/python3"
ln -s "python$minor" "$prefix/bin/python"
cp -R "/usr/lib/python$minor" "$prefix/lib/"
# Debian's Python is for its packages, and keeps what is added in places of its own; conda's is the user's.
library=$prefix/lib/python$minor
mkdir "$library/site-packages"
rm -f "$library/EXTERNALLY-MANAGED" "$library/sitecustomize.py"
printf 'import site\n\nsite.addsitedir("%s/site-packages")\n' "$library" > "$library/sitecustomize.py"
sed -i "s/prefix_scheme = 'posix_local'/prefix_scheme = 'posix_prefix'/" "$library/sysconfig.py"

wheels=/usr/share/python-wheels
PYTHONPATH=$(echo $wheels/pip-*.whl) "$prefix/bin/python" -m pip install -q --ignore-installed \
  --root-user-action=ignore --no-index --find-links $wheels pip setuptools

printf '{"name": "python", "version": "%s", "build": "0", "channel": "stand-in"}\n' "$version" \
  > "$prefix/conda-meta/python-$version-0.json"
printf '{"name": "conda", "version": "24.11.0", "build": "0", "channel": "stand-in"}\n' \
  > "$prefix/conda-meta/conda-24.11.0-0.json"
cat > "$prefix/bin/conda" <<EOF
#!/bin/sh
case "\$*" in
  "install -y -q python=$minor pip" | "clean -afy") ;;
  *) echo "conda \$*: packages are not there" >&2; exit 1 ;;
esac
EOF
chmod 755 "$prefix/bin/conda"
