

xPlaceholder

w	WriteFile