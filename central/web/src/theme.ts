import { createTheme, localStorageColorSchemeManager, Menu, Modal, Tooltip } from '@mantine/core';

export const schemeManager = localStorageColorSchemeManager({ key: 'wayside.scheme' });

// Locking the page's scroll and responsive props would put <style> elements into the page, which the centre forbids.
export const theme = createTheme({
  primaryColor: 'teal',
  primaryShade: { light: 8, dark: 7 },
  defaultRadius: 'sm',
  cursorType: 'pointer',
  components: {
    Modal: Modal.extend({ defaultProps: { lockScroll: false, centered: true, transitionProps: { duration: 0 }, closeButtonProps: { 'aria-label': 'Close' } } }),
    // Its placeholder for the focus is a child that no menu may have; the first item takes the focus as well.
    Menu: Menu.extend({ defaultProps: { withInitialFocusPlaceholder: false } }),
    Tooltip: Tooltip.extend({ defaultProps: { openDelay: 400, withArrow: true } }),
  },
});
