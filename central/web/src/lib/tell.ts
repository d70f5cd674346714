import { notifications } from '@mantine/notifications';

/** A line in the corner that goes away by itself. */
export function tell(how: 'good' | 'bad', message: string): void {
  notifications.show({ message, color: how === 'good' ? 'teal' : 'red', withBorder: true });
}
